"""Labels of a scene's patches: what lies there, and what the whole picture says about it."""

import numpy as np

from .geometry import GRID
from .palette import COLOURS
from .sample import IGNORE, MOST, PatchLabels
from .shapes import SHAPE_NAMES
from .thing import TOWARDS, Thing, extreme_in_size, groups, outermost, things_towards, third

NOTHING = 1  # a label of `beside`: no thing lies there
NO, YES = 1, 2


def label(things: list[Thing], masks: np.ndarray) -> PatchLabels:
    """`masks`, int [4 GRID, 4 GRID], gives for each cell 1 + the number of the thing on it.

    A patch is labelled by the thing that covers most of it, or 0 when none covers a fifth and no thing's
    centre lies in it.
    """
    cells = masks.reshape(GRID, 4, GRID, 4).transpose(0, 2, 1, 3).reshape(GRID * GRID, 16)
    covered = np.stack([(cells == number).sum(1) for number in range(1, len(things) + 1)], axis=1)
    owner = np.where(covered.max(1) >= 3, covered.argmax(1) + 1, 0)
    centre = np.zeros(GRID * GRID, np.int64)
    for number, thing in enumerate(things):
        patch = int(thing.y * GRID) * GRID + int(thing.x * GRID)
        centre[patch] = 1
        owner[patch] = owner[patch] or number + 1
    order = {group: place + 1 for place, group in enumerate(groups(things))}
    labels = PatchLabels(
        shape=_of_each(owner, [SHAPE_NAMES.index(thing.shape) + 1 for thing in things]),
        colour=_of_each(owner, [COLOURS.index(thing.colour) + 1 for thing in things]),
        centre=centre,
        order=_of_each(owner, [order[thing.colour, thing.shape] for thing in things]),
        alike=_of_each(owner, _how_many_alike(things)),
        beside=_of_each(owner, [_beside(things, thing) for thing in things]),
        extreme=_of_each(owner, _extremes(things)),
        part=_of_each(owner, [_part(thing) for thing in things]),
        size=_of_each(owner, [_size(thing) for thing in things]),
    )
    labels.characters = np.zeros_like(labels.characters)
    labels.rank = np.zeros_like(labels.rank)
    return labels


def _of_each(owner: np.ndarray, values) -> np.ndarray:
    """The value of the thing on each patch, 0 where there is none."""
    values = np.asarray(values, np.int64)
    return np.concatenate([np.zeros_like(values[:1]), values])[owner]


def _how_many_alike(things: list[Thing]) -> np.ndarray:
    """int64 [things, 3]: how many have the shape, the colour, both of each."""
    shapes = np.array([thing.shape for thing in things])
    colours = np.array([thing.colour for thing in things])
    same_shape, same_colour = shapes[:, None] == shapes, colours[:, None] == colours
    counts = [same.sum(1) for same in (same_shape, same_colour, same_shape & same_colour)]
    return np.minimum(np.stack(counts, 1), MOST)


def _beside(things: list[Thing], anchor: Thing) -> list[int]:
    """Shape and colour of the one thing in each direction, eight numbers; IGNORE where none is the one."""
    labels = []
    for direction in TOWARDS:
        there = things_towards(things, anchor, direction)
        if there is None or len(there) > 1:
            labels += [IGNORE, IGNORE]
        elif not there:
            labels += [NOTHING, NOTHING]
        else:
            labels += [
                NOTHING + 1 + SHAPE_NAMES.index(there[0].shape),
                NOTHING + 1 + COLOURS.index(there[0].colour),
            ]
    return labels


def _extremes(things: list[Thing]) -> list[list[int]]:
    """Of each thing whether it is the last in each direction, the largest, the smallest."""
    holders = [outermost(things, direction) for direction in TOWARDS]
    holders += [extreme_in_size(things, largest) for largest in (True, False)]
    return [
        [IGNORE if holder is None else YES if holder is thing else NO for holder in holders]
        for thing in things
    ]


def _part(thing: Thing) -> int:
    """Which ninth of the picture it is in, 1 to 9 in rows."""
    across, down = third(thing.x), third(thing.y)
    return IGNORE if across is None or down is None else 1 + 3 * down + across


def _size(thing: Thing) -> int:
    return {"small": 1, "medium": IGNORE, "large": 2}[thing.size]
