"""Questions about where the objects of a scene are."""

import numpy as np

from ..pictures.scenes import Thing
from .phrasing import Turn, article, fill, pick, sentence, yes_no

CLEAR = 0.12  # a difference of places, in picture widths, that leaves no doubt
# direction: (phrases, axis, sign)
DIRECTIONS = {
    "left": (("to the left of", "left of", "on the left of"), "x", -1),
    "right": (("to the right of", "right of", "on the right of"), "x", 1),
    "above": (("above", "over"), "y", -1),
    "below": (("below", "under", "beneath"), "y", 1),
}


def ask_place(rng: np.random.Generator, things: list[Thing], background: str) -> Turn | None:
    """One question about places, or None where the scene gives no clear answer."""
    return pick(rng, (_beside, _beside, _beside, _is_beside, _is_beside, _outermost, _where))(
        rng, things
    )


def _named(thing: Thing) -> str:
    return f"{thing.colour} {thing.shape}"


def _unique(things: list[Thing], thing: Thing) -> bool:
    return sum(_named(other) == _named(thing) for other in things) == 1


def _offset(thing: Thing, anchor: Thing, axis: str, sign: int) -> float:
    return sign * (getattr(thing, axis) - getattr(anchor, axis))


def _call(rng, things: list[Thing], thing: Thing) -> str:
    """The name of `thing`, without its colour now and then where the shape is enough."""
    if rng.random() < 0.3 and sum(other.shape == thing.shape for other in things) == 1:
        return thing.shape
    return _named(thing)


def _beside(rng, things):
    """What lies in a direction from a thing; asked where exactly one thing or nothing is there."""
    anchor = pick(rng, things)
    phrases, axis, sign = DIRECTIONS[pick(rng, tuple(DIRECTIONS))]
    offsets = [
        (_offset(thing, anchor, axis, sign), thing) for thing in things if thing is not anchor
    ]
    if (
        not offsets
        or not _unique(things, anchor)
        or any(abs(offset) < CLEAR for offset, _ in offsets)
    ):
        return None
    there = [thing for offset, thing in offsets if offset > 0]
    if len(there) > 1 or (not there and rng.random() < 0.7):
        return None
    templates = (
        "What is {where} the {noun}?",
        "What shape is {where} the {noun}?",
        "Which object is {where} the {noun}?",
        "What do you see {where} the {noun}?",
        "Which shape is {where} the {noun}?",
    )
    question = fill(rng, templates, where=pick(rng, phrases), noun=_call(rng, things, anchor))
    return Turn("relation", question, sentence(article(_named(there[0]))) if there else "Nothing.")


def _is_beside(rng, things):
    """Whether one thing lies in a direction from another."""
    if len(things) < 2:
        return None
    first, second = (things[i] for i in rng.choice(len(things), 2, replace=False))
    phrases, axis, sign = DIRECTIONS[pick(rng, tuple(DIRECTIONS))]
    offset = _offset(first, second, axis, sign)
    if abs(offset) < CLEAR or not _unique(things, first) or not _unique(things, second):
        return None
    question = (
        f"Is the {_call(rng, things, first)} {pick(rng, phrases)} the {_call(rng, things, second)}?"
    )
    return Turn("relation", question, yes_no(offset > 0))


def _outermost(rng, things):
    """Which thing is the last in a direction."""
    if len(things) < 2:
        return None
    words, axis, sign = pick(
        rng,
        (
            (("leftmost shape", "shape furthest to the left", "shape on the far left"), "x", -1),
            (("rightmost shape", "shape furthest to the right", "shape on the far right"), "x", 1),
            (("topmost shape", "highest shape", "shape at the top"), "y", -1),
            (("lowest shape", "shape at the bottom"), "y", 1),
        ),
    )
    ordered = sorted(things, key=lambda thing: sign * getattr(thing, axis))
    if abs(getattr(ordered[-1], axis) - getattr(ordered[-2], axis)) < CLEAR:
        return None
    return Turn(
        "relation", f"What is the {pick(rng, words)}?", sentence(article(_named(ordered[-1])))
    )


def _where(rng, things):
    """In which third of the picture a thing is, across and down."""
    thing = pick(rng, things)
    if not _unique(things, thing):
        return None
    places = [_third(thing.x), _third(thing.y)]
    if None in places:
        return None
    across, down = ("left", "", "right")[places[0]], ("top", "", "bottom")[places[1]]
    if across and down:
        answer = f"At the {down} {across}."
    elif across or down:
        answer = f"On the {across}." if across else f"At the {down}."
    else:
        answer = "In the middle."
    templates = (
        "Where is the {noun}?",
        "In which part of the picture is the {noun}?",
        "Where do you see the {noun}?",
    )
    return Turn("relation", fill(rng, templates, noun=_call(rng, things, thing)), answer)


def _third(place: float) -> int | None:
    """0, 1 or 2, or None near a border between thirds."""
    if min(abs(place - 1 / 3), abs(place - 2 / 3)) < 0.04:
        return None
    return int(place * 3)
