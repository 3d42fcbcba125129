"""Questions about all things of a picture at once, asked in training alone.

One asks for several look-ups of the kind that short questions ask for one by one: the colour that belongs
to a shape, what lies beside it, the letter of a bar by its height, the letter of a sign by its place.
"""

import numpy as np

from ..pictures.thing import TOWARDS, Thing, is_unique, things_towards
from .phrasing import Turn, article, fill, pick, sentence

_PHRASES = {"left": "left of", "right": "right of", "above": "above", "below": "below"}


def list_things(rng: np.random.Generator, things: list[Thing], background: str) -> Turn | None:
    """One listing of a scene, or None where it would list nothing."""
    return pick(rng, (_colours, _colours, _beside, _beside, _downwards))(rng, things)


def _colours(rng, things):
    """Each shape with its colour, in an order that no caption has."""
    order = [things[i] for i in rng.permutation(len(things))]
    shapes = list(dict.fromkeys(thing.shape for thing in order))
    colours = {shape: {t.colour for t in things if t.shape == shape} for shape in shapes}
    single = [shape for shape in shapes if len(colours[shape]) == 1]
    if not single:
        return None
    asked = ", ".join(single)
    templates = ("Which colours have these: {asked}?", "What colours are these: {asked}?", "Colours of {asked}?")
    told = ", ".join(f"{shape} {colours[shape].pop()}" for shape in single)
    return Turn("listing", fill(rng, templates, asked=asked), sentence(told))


def _beside(rng, things):
    """What lies in a direction from each thing of which that is clear."""
    direction = pick(rng, tuple(TOWARDS))
    told = []
    for thing in sorted(things, key=lambda t: t.x):
        there = things_towards(things, thing, direction)
        if there is None or len(there) > 1 or not is_unique(things, thing):
            continue
        told.append(f"{thing.name}: {article(there[0].name) if there else 'nothing'}")
    if not told or len(things) < 2:
        return None
    return Turn("listing", f"What is {_PHRASES[direction]} each shape?", sentence(", ".join(told)))


def _downwards(rng, things):
    """All things from top to bottom."""
    ordered = sorted(things, key=lambda t: t.y)
    if len(things) < 2 or min(b.y - a.y for a, b in zip(ordered, ordered[1:])) < 0.05:
        return None
    templates = ("List the shapes from top to bottom.", "Name the shapes from top to bottom.")
    return Turn("listing", pick(rng, templates), sentence(", ".join(thing.name for thing in ordered)))


def list_bars(rng: np.random.Generator, bars: list[tuple[str, str, float]]) -> Turn:
    """Bars by height, or with their colours; named by letters where they have them."""
    names = [letter or colour for letter, colour, _ in bars]
    if bars[0][0] and rng.random() < 0.4:
        told = [f"{letter} {colour}" for letter, colour, _ in bars]
        return Turn("listing", "What colours are the bars?", sentence(", ".join(told)))
    falling = rng.random() < 0.6
    order = sorted(range(len(bars)), key=lambda i: bars[i][2], reverse=falling)
    words = ("highest", "lowest") if falling else ("lowest", "highest")
    question = f"List the bars from {words[0]} to {words[1]}."
    return Turn("listing", question, sentence(", ".join(names[i] for i in order)))


SPELLED = 12  # letters of a sign that is spelled out or read backwards


def list_letters(rng: np.random.Generator, lines: list[str]) -> Turn:
    """One question that goes through a sign's letters otherwise than reading does."""
    text = " ".join(lines)
    letters = text.replace(" ", "")
    if len(letters) <= SPELLED and rng.random() < 0.4:
        if rng.random() < 0.5:
            return Turn("listing", "Spell the text.", f'"{"-".join(letters)}"')
        return Turn("listing", "Read the text from the end.", f'"{letters[::-1]}"')
    place = int(rng.integers(len(letters)))
    if letters.count(letters[place]) == 1 and rng.random() < 0.5:
        step = 1 if rng.random() < 0.7 else -1
        beside = letters[place + step : place + step + 1] if place + step >= 0 else ""
        side = "after" if step > 0 else "before"
        answer = f'"{beside}"' if beside else "Nothing."
        return Turn("listing", f'What comes {side} "{letters[place]}"?', answer)
    return Turn("listing", f"What is letter number {place + 1}?", f'"{letters[place]}"')
