"""Questions about drawn scenes: captions, counts, colours, kinds, places."""

import numpy as np

from ..pictures.palette import COLOURS
from ..pictures.sample import Sample
from ..pictures.shapes import SHAPE_NAMES, SHAPE_WEIGHTS
from ..pictures.thing import Thing, extreme_in_size, groups, is_unique
from .listings import list_things
from .phrasing import (
    CAPTION_REQUESTS,
    KIND_ANSWERS,
    KIND_REQUESTS,
    NO_TEXT,
    READ_REQUESTS,
    Turn,
    article,
    beyond,
    fill,
    listing,
    pick,
    plural,
    sentence,
    yes_no,
)
from .scene_places import ask_place

NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight")


def ask_scene(rng: np.random.Generator, sample: Sample, slow: float = 0.0) -> Turn:
    """One question about a scene; makers that do not fit it give None and another is drawn.

    `slow`: how often it is drawn from the kinds that take longest to learn, in training.
    """
    things, background = sample.facts["things"], sample.facts["background"]
    while True:
        askers = _SLOW_TO_LEARN if slow and rng.random() < slow else _ASKERS
        turn = pick(rng, askers)(rng, things, background)
        if turn:
            return turn


def describe(things: list[Thing]) -> str:
    """Words like "a red circle and two blue squares", groups from left to right."""
    return listing(
        [
            article(f"{colour} {shape}")
            if count == 1
            else f"{NUMBERS[count]} {colour} {plural(shape)}"
            for (colour, shape), count in groups(things).items()
        ]
    )


_SHAPES_REQUESTS = (
    "What shapes are in the picture?",
    "What shapes are there?",
    "What shapes do you see?",
    "Which shapes can you see?",
    "What objects are in the picture?",
    "Which objects do you see?",
)


def _caption(rng, things, background):
    request = pick(rng, CAPTION_REQUESTS + _SHAPES_REQUESTS)
    return Turn("scene caption", request, sentence(describe(things)))


def _what_shape(rng, things, background):
    if len(things) != 1:
        return None
    templates = (
        "What shape is in the picture?",
        "What shape is this?",
        "Which shape do you see?",
        "What is the shape?",
        "What object is in the picture?",
        "Name the shape.",
        "Which shape is drawn?",
        "What shape do you see?",
    )
    return Turn(
        "shape", pick(rng, templates), sentence(article(things[0].name))
    )


def _count_all(rng, things, background):
    templates = (
        "How many shapes are there?",
        "How many objects are there?",
        "How many shapes do you see?",
        "Count the shapes.",
        "How many things are in the picture?",
        "What is the number of shapes?",
        "How many shapes are in the picture?",
        "How many objects does the image contain?",
    )
    return Turn("counting", pick(rng, templates), str(len(things)))


def _count_some(rng, things, background):
    thing = pick(rng, things)
    colour, shape = thing.colour, thing.shape
    if rng.random() < 0.2:  # ask for something that may be absent
        colour, shape = (
            (str(pick(rng, COLOURS)), shape) if rng.random() < 0.5 else (colour, _any_shape(rng))
        )
    how = rng.random()
    if how < 0.4:
        noun, count = plural(shape), sum(t.shape == shape for t in things)
    elif how < 0.75:
        noun, count = (
            f"{colour} {plural(shape)}",
            sum((t.colour, t.shape) == (colour, shape) for t in things),
        )
    else:
        noun, count = (
            f"{colour} {pick(rng, ('shapes', 'objects', 'things'))}",
            sum(t.colour == colour for t in things),
        )
    templates = (
        "How many {noun} are there?",
        "How many {noun} do you see?",
        "Count the {noun}.",
        "How many {noun} are in the picture?",
        "What is the number of {noun}?",
        "How many {noun}?",
        "How many {noun} can you see?",
        "How many {noun} does the picture show?",
    )
    return Turn("counting", fill(rng, templates, noun=noun), str(count))


def _any_shape(rng) -> str:
    return str(rng.choice(SHAPE_NAMES, p=SHAPE_WEIGHTS))


def _colour_of(rng, things, background):
    if rng.random() < 0.12:
        shape = _any_shape(rng)
        if any(thing.shape == shape for thing in things):
            return None
        answer = f"There is no {shape}."
    else:
        thing = pick(rng, things)
        shape = thing.shape
        colours = {t.colour for t in things if t.shape == shape}
        if len(colours) > 1:
            return None
        if sum(t.shape == shape for t in things) > 1:
            templates = (
                "What colour are the {noun}?",
                "Which colour are the {noun}?",
                "What is the colour of the {noun}?",
            )
            return Turn("colour", fill(rng, templates, noun=plural(shape)), sentence(thing.colour))
        answer = sentence(thing.colour)
    templates = (
        "What colour is the {noun}?",
        "What is the colour of the {noun}?",
        "Which colour is the {noun}?",
        "What colour does the {noun} have?",
        "Tell me the colour of the {noun}.",
        "The {noun} is what colour?",
    )
    return Turn("colour", fill(rng, templates, noun=shape), answer)


def _colour_single(rng, things, background):
    if len(things) != 1:
        return None
    templates = (
        "What colour is it?",
        "What colour is the shape?",
        "What is its colour?",
        "What colour is the object?",
    )
    return Turn("colour", pick(rng, templates), sentence(things[0].colour))


def _shape_of(rng, things, background):
    thing = pick(rng, things)
    if sum(t.colour == thing.colour for t in things) > 1:
        return None
    templates = (
        "What shape is {colour}?",
        "Which shape is {colour}?",
        "What is {colour}?",
        "What is the {colour} shape?",
        "What shape is the {colour} object?",
        "What {colour} shape is there?",
        "Which object is {colour}?",
        "What {colour} thing do you see?",
        "What shape does the {colour} object have?",
    )
    return Turn("shape", fill(rng, templates, colour=thing.colour), sentence(article(thing.shape)))


def _exists(rng, things, background):
    thing = pick(rng, things)
    shape, colour = thing.shape, thing.colour
    if rng.random() < 0.55:
        shape, colour = (
            (_any_shape(rng), colour) if rng.random() < 0.5 else (shape, str(pick(rng, COLOURS)))
        )
    how = rng.random()
    if how < 0.4:
        noun, true = article(shape), any(t.shape == shape for t in things)
    elif how < 0.8:
        noun, true = (
            article(f"{colour} {shape}"),
            any((t.shape, t.colour) == (shape, colour) for t in things),
        )
    else:
        noun, true = f"anything {colour}", any(t.colour == colour for t in things)
    templates = (
        "Is there {noun}?",
        "Does it contain {noun}?",
        "Is there {noun} in the picture?",
        "Do you see {noun}?",
        "Does the picture contain {noun}?",
        "Can you see {noun}?",
        "Is {noun} in the image?",
        "Does the image show {noun}?",
    )
    return Turn("scene yes/no", fill(rng, templates, noun=noun), yes_no(true))


def _background(rng, things, background):
    templates = (
        "What colour is the background?",
        "What is the background colour?",
        "Which colour is the background?",
        "What is the colour of the background?",
        "What colour is behind the shapes?",
    )
    return Turn("colour", pick(rng, templates), sentence(background))


def _larger(rng, things, background):
    if len(things) < 2:
        return None
    big = rng.random() < 0.6
    thing = extreme_in_size(things, big)
    if thing is None:
        return None
    templates = (
        (
            "What is the largest shape?",
            "Which shape is the largest?",
            "Which shape is biggest?",
            "What is the biggest object?",
        )
        if big
        else (
            "What is the smallest shape?",
            "Which shape is the smallest?",
            "What is the smallest object?",
        )
    )
    return Turn("size", pick(rng, templates), sentence(article(thing.name)))


def _size(rng, things, background):
    thing = pick(rng, things)
    if thing.size == "medium" or not is_unique(things, thing):
        return None
    templates = (
        "Is the {noun} large or small?",
        "Is the {noun} small or large?",
        "What size is the {noun}?",
    )
    return Turn(
        "size", fill(rng, templates, noun=thing.name), sentence(thing.size)
    )


def _same_colour(rng, things, background):
    if len(things) < 2:
        return None
    if rng.random() < 0.5:
        same = len({thing.colour for thing in things}) == 1
        templates = ("Are all shapes the same colour?", "Do all shapes have the same colour?")
    else:
        same = len({thing.shape for thing in things}) == 1
        templates = ("Are all objects the same shape?", "Do all objects have the same shape?")
    return Turn("scene yes/no", pick(rng, templates), yes_no(same))


def _kind(rng, things, background):
    return Turn("kind", pick(rng, KIND_REQUESTS), KIND_ANSWERS["scene"])


def _odd(rng, things, background):
    return Turn("unsure", pick(rng, READ_REQUESTS), NO_TEXT) if rng.random() < 0.4 else beyond(rng)


_SLOW_TO_LEARN = (
    (_caption, _count_some, _larger)
    + (_colour_of,) * 3
    + (_exists,) * 2
    + (ask_place,) * 3
    + (list_things,) * 3
)
_ASKERS = (
    (_caption,) * 5
    + (_what_shape,) * 4
    + (_count_all,) * 3
    + (_count_some,) * 5
    + (_colour_of,) * 5
    + (_colour_single,) * 2
    + (_shape_of,) * 5
    + (_exists,) * 5
    + (_background,) * 2
    + (_larger,) * 2
    + (_size, _same_colour, _kind, _odd)
    + (ask_place,) * 8
)
