"""What a generator hands out: a picture, the facts for questions, and labels for every patch."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .geometry import GRID

IGNORE = -100  # the label that a loss skips
CHAR_SLOTS = 3  # characters that a patch can name, in reading order
LONGEST = 32  # places in reading order that are told apart
MOST = 8  # things or bars that are counted
CHARACTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,:!?-%$"


def _unknown(*shape: int) -> np.ndarray:
    return np.full(shape, IGNORE, np.int64)


@dataclass
class PatchLabels:
    """Labels of the 64 patches in row-major order; 0 means nothing there, IGNORE not known.

    `shape`, `colour`, `centre`: of the thing that covers a patch, or of the bar that stands on it.
    `characters`: see `character_labels`. What takes a look at the whole picture, so that the decoder need
    not learn it from answers alone: `order`, see `reading_order`, and of things the place of their group in
    a caption; `rank` of a bar, 1 the highest; `alike`, how many things have its shape, its colour, both;
    `beside`, shape and colour of the one thing to the left, right, above, below; `extreme`, whether it
    is the last in each of these directions, the largest, the smallest; `part`, the ninth of the picture
    it is in; `size`.
    """

    shape: np.ndarray = field(default_factory=lambda: _unknown(GRID * GRID))
    colour: np.ndarray = field(default_factory=lambda: _unknown(GRID * GRID))
    centre: np.ndarray = field(default_factory=lambda: _unknown(GRID * GRID))
    characters: np.ndarray = field(default_factory=lambda: _unknown(GRID * GRID, CHAR_SLOTS))
    order: np.ndarray = field(default_factory=lambda: _unknown(GRID * GRID))
    rank: np.ndarray = field(default_factory=lambda: _unknown(GRID * GRID))
    alike: np.ndarray = field(default_factory=lambda: _unknown(GRID * GRID, 3))
    beside: np.ndarray = field(default_factory=lambda: _unknown(GRID * GRID, 8))
    extreme: np.ndarray = field(default_factory=lambda: _unknown(GRID * GRID, 6))
    part: np.ndarray = field(default_factory=lambda: _unknown(GRID * GRID))
    size: np.ndarray = field(default_factory=lambda: _unknown(GRID * GRID))


@dataclass
class Sample:
    """One labelled picture. `image` is uint8 [128, 128, 3]; `facts` depends on `kind`."""

    kind: str
    image: np.ndarray
    facts: dict[str, Any]
    patches: PatchLabels = field(default_factory=PatchLabels)
    photo_class: int = IGNORE


def character_labels(placed: list[tuple[str, float, float]]) -> np.ndarray:
    """int64 [64, 3]: for each patch the characters whose centre lies in it, in order of placing.

    `placed` lists (character, x, y) with x and y from 0 to 1; classes are 1 + place in CHARACTERS.
    """
    labels = np.zeros((GRID * GRID, CHAR_SLOTS), np.int64)
    used = np.zeros(GRID * GRID, np.int64)
    for character, x, y in placed:
        number = CHARACTERS.find(character) + 1
        if number and 0 <= x < 1 and 0 <= y < 1:
            patch = int(y * GRID) * GRID + int(x * GRID)
            if used[patch] < CHAR_SLOTS:
                labels[patch, used[patch]] = number
                used[patch] += 1
    return labels


def reading_order(placed: list[tuple[str, float, float]]) -> np.ndarray:
    """int64 [64]: 1 + the place in reading order of the first character whose centre lies in a patch."""
    labels = np.zeros(GRID * GRID, np.int64)
    for place, (_, x, y) in reversed(list(enumerate(placed))):
        if 0 <= x < 1 and 0 <= y < 1:
            labels[int(y * GRID) * GRID + int(x * GRID)] = 1 + min(place, LONGEST - 1)
    return labels
