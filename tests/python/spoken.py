"""Sounds of the tests of speech, the same for the golden values and for what is compared to them."""

import io
import wave

import numpy as np


def sound(seconds, seed):
    """Gliding tones with a voice's rhythm over a little noise: float32 at 16 kHz."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * 16000)) / 16000
    samples = 0.01 * rng.standard_normal(t.size)
    for _ in range(6):
        base, glide, beat, phase = rng.uniform((120, -80, 1, 0), (2400, 80, 5, 6))
        envelope = np.maximum(0, np.sin(2 * np.pi * beat * t + phase))
        samples += 0.15 * envelope * np.sin(2 * np.pi * (base + glide * t) * t)
    return samples.astype(np.float32)


def as_wav(samples, rate=16000, width=2, channels=1):
    """Samples in [-1, 1) as a WAV file of whole numbers."""
    levels = np.round(np.repeat(samples, channels) * (2 ** (8 * width - 1) - 1)).astype("<i4")
    raw = b"".join(int(v).to_bytes(width, "little", signed=True) for v in levels)
    held = io.BytesIO()
    with wave.open(held, "wb") as f:
        f.setnchannels(channels)
        f.setsampwidth(width)
        f.setframerate(rate)
        f.writeframes(raw)
    return held.getvalue()
