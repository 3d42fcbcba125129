"""Questions about where the objects of a scene are."""

import numpy as np

from ..pictures.thing import CLEAR, Thing, is_unique, offset, outermost, things_towards, third
from .phrasing import Turn, article, fill, pick, sentence, yes_no

PHRASES = {
    "left": ("to the left of", "left of", "on the left of"),
    "right": ("to the right of", "right of", "on the right of"),
    "above": ("above", "over"),
    "below": ("below", "under", "beneath"),
}
OUTERMOST = {
    "left": ("leftmost shape", "shape furthest to the left", "shape on the far left"),
    "right": ("rightmost shape", "shape furthest to the right", "shape on the far right"),
    "above": ("topmost shape", "highest shape", "shape at the top"),
    "below": ("lowest shape", "shape at the bottom"),
}


def ask_place(rng: np.random.Generator, things: list[Thing], background: str) -> Turn | None:
    """One question about places, or None where the scene gives no clear answer."""
    return pick(rng, (_beside, _beside, _beside, _is_beside, _is_beside, _outermost, _where))(
        rng, things
    )


def _call(rng, things: list[Thing], thing: Thing) -> str:
    """The name of `thing`, without its colour now and then where the shape is enough."""
    if rng.random() < 0.3 and sum(other.shape == thing.shape for other in things) == 1:
        return thing.shape
    return thing.name


def _beside(rng, things):
    """What lies in a direction from a thing; asked where exactly one thing or nothing is there."""
    anchor, direction = pick(rng, things), pick(rng, tuple(PHRASES))
    there = things_towards(things, anchor, direction)
    if len(things) < 2 or not is_unique(things, anchor) or there is None or len(there) > 1:
        return None
    if not there and rng.random() < 0.7:
        return None
    templates = (
        "What is {where} the {noun}?",
        "What shape is {where} the {noun}?",
        "Which object is {where} the {noun}?",
        "What do you see {where} the {noun}?",
        "Which shape is {where} the {noun}?",
    )
    question = fill(rng, templates, where=pick(rng, PHRASES[direction]), noun=_call(rng, things, anchor))
    return Turn("relation", question, sentence(article(there[0].name)) if there else "Nothing.")


def _is_beside(rng, things):
    """Whether one thing lies in a direction from another."""
    if len(things) < 2:
        return None
    first, second = (things[i] for i in rng.choice(len(things), 2, replace=False))
    direction = pick(rng, tuple(PHRASES))
    distance = offset(first, second, direction)
    if abs(distance) < CLEAR or not is_unique(things, first) or not is_unique(things, second):
        return None
    where = pick(rng, PHRASES[direction])
    question = f"Is the {_call(rng, things, first)} {where} the {_call(rng, things, second)}?"
    return Turn("relation", question, yes_no(distance > 0))


def _outermost(rng, things):
    """Which thing is the last in a direction."""
    if len(things) < 2:
        return None
    direction = pick(rng, tuple(OUTERMOST))
    thing = outermost(things, direction)
    if thing is None:
        return None
    question = f"What is the {pick(rng, OUTERMOST[direction])}?"
    return Turn("relation", question, sentence(article(thing.name)))


def _where(rng, things):
    """In which third of the picture a thing is, across and down."""
    thing = pick(rng, things)
    if not is_unique(things, thing):
        return None
    places = [third(thing.x), third(thing.y)]
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
