"""Pictures and sounds that stand in where a user gives none: made by rule, the same everywhere."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

RATE = 16_000  # samples a second
WORDS = "What is this? Name 3 things."
STORY = "Once upon a time there was a small house by the sea, and in it lived"  # to be gone on with
TEXTS = ["A red bicycle beside an old wall.", "How many people are there? 3456!", "the sea"]
_SIZES = {"wide": (208, 120), "tall": (61, 157)}


def pictures() -> dict[str, npt.NDArray[np.uint8]]:
    """uint8 `[height, width, 3]` by name: one wider and one taller than a square."""
    return {name: _picture(*size) for name, size in _SIZES.items()}


def _picture(width: int, height: int) -> npt.NDArray[np.uint8]:
    """Smooth gradients, a disc with a hard edge and a fine texture."""
    y, x = np.mgrid[0:height, 0:width]
    red, green = 255 * x // (width - 1), 255 * y // (height - 1)
    blue = (x * x + 3 * x * y + 7 * y) % 251
    disc = (2 * x - width) ** 2 + (2 * y - height) ** 2 < min(width, height) ** 2 // 2
    layers = [np.where(disc, 255 - red, red), np.where(disc, 40, green), blue]
    return np.stack(layers, -1).astype(np.uint8)


def sound(seconds: float = 3.0) -> npt.NDArray[np.float32]:
    """float32 `[samples]`: a voice-like tone that glides and pauses, over a little noise."""
    t = np.arange(int(seconds * RATE)) / RATE
    phase = 2 * math.pi * (140 * t + 25 * np.sin(2 * math.pi * 0.7 * t))
    tone = sum(np.sin(k * phase) / k for k in range(1, 12))
    loud = np.clip(np.sin(2 * math.pi * 1.3 * t), 0, 1)
    noise = np.random.default_rng(1).standard_normal(t.size)
    return np.asarray(0.2 * tone * loud + 0.01 * noise, np.float32)
