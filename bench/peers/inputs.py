"""What every peer is given: token ids and pictures that are never the same twice.

Caches of prefixes and of pictures answer repeated inputs in no time, so each call has its own `seed`.
"""

from __future__ import annotations

import functools

import numpy as np

VOCABULARY = 49152  # of SmolLM2; the picture tokens lie behind it and are left out
FIRST_WORD = 17  # the ids before it are special tokens


def token_ids(count: int, seed: int) -> list[int]:
    random = np.random.default_rng(seed)
    return [int(i) for i in random.integers(FIRST_WORD, VOCABULARY, count)]


@functools.lru_cache(maxsize=1)
def picture(side: int, seed: int) -> np.ndarray:
    """uint8 [side, side, 3]: smooth waves, shapes with edges and a little noise."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0:side, 0:side].astype(np.float32) / side
    out = np.empty((side, side, 3), np.float32)
    for channel in range(3):
        a, b, c = random.uniform(2, 20, 3)
        out[..., channel] = 128 + 60 * np.sin(a * x + b * y * y) + 40 * np.cos(c * x * y)
    for _ in range(12):
        cx, cy, r = random.uniform(0, 1, 3)
        out[(x - cx) ** 2 + (y - cy) ** 2 < (0.15 * r) ** 2] = random.uniform(0, 255, 3)
    out += random.normal(0, 6, out.shape)
    return np.clip(out, 0, 255).astype(np.uint8)


def tile_values(picture: np.ndarray) -> np.ndarray:
    """A 512x512 picture as the encoder's input, float32 [1, 3, 512, 512] in [-1, 1]."""
    return ((picture.astype(np.float32) / 255 - 0.5) / 0.5).transpose(2, 0, 1)[None]
