"""Sounds of the Whisper tests, the same for the golden values and for what is compared to them."""

import numpy as np


def sound(seconds, seed):
    """Gliding tones with a voice's rhythm over a little noise: float32 at 16 kHz."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * 16000)) / 16000
    wave = 0.01 * rng.standard_normal(t.size)
    for _ in range(6):
        base, glide, beat, phase = rng.uniform((120, -80, 1, 0), (2400, 80, 5, 6))
        envelope = np.maximum(0, np.sin(2 * np.pi * beat * t + phase))
        wave += 0.15 * envelope * np.sin(2 * np.pi * (base + glide * t) * t)
    return wave.astype(np.float32)
