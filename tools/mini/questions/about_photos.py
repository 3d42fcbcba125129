"""Questions about photographs of ten kinds of things."""

import numpy as np

from ..pictures.photos import CLASSES
from ..pictures.sample import Sample
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
    pick,
    sentence,
    yes_no,
)

NAMES = {name: name for name in CLASSES} | {"automobile": "car"}
_SYNONYMS = {
    "airplane": ("airplane", "plane", "aircraft"),
    "automobile": ("car", "automobile"),
    "ship": ("ship", "boat"),
    "truck": ("truck", "truck", "lorry"),
}
VEHICLES = ("airplane", "automobile", "ship", "truck")
_FLYING = ("airplane", "bird")
_HOOFED = ("deer", "horse")
_WHEELED = ("automobile", "truck", "airplane")


def ask_photo(rng: np.random.Generator, sample: Sample) -> Turn:
    """One question about a photograph."""
    name = sample.facts["name"]
    return pick(rng, _ASKERS)(rng, name)


def _caption(rng, name):
    return Turn("photo class", pick(rng, CAPTION_REQUESTS), f"A photo of {article(NAMES[name])}.")


def _name(rng, name):
    vehicle = name in VEHICLES
    templates = (
        "What is this?",
        "What is the main object?",
        "What is the subject of the photo?",
        "What thing is this?",
        "Name the object.",
        "What object is in the photo?",
    )
    specific = (
        (
            "What vehicle is this?",
            "What kind of vehicle is it?",
            "Which vehicle is in the picture?",
            "What vehicle do you see?",
        )
        if vehicle
        else (
            "What animal is this?",
            "What kind of animal is it?",
            "Which animal is in the picture?",
            "What animal do you see?",
        )
    )
    return Turn(
        "photo class",
        pick(rng, templates if rng.random() < 0.5 else specific),
        sentence(article(NAMES[name])),
    )


def _is_it(rng, name):
    asked = name if rng.random() < 0.5 else _other(rng, name)
    noun = article(pick(rng, _SYNONYMS.get(asked, (asked,))))
    templates = (
        "Is this {noun}?",
        "Is it {noun}?",
        "Is there {noun} in the picture?",
        "Do you see {noun}?",
        "Does the photo show {noun}?",
        "Is {noun} in this image?",
        "Can you see {noun}?",
        "Does the picture contain {noun}?",
        "Is this a photo of {noun}?",
    )
    return Turn("photo yes/no", fill(rng, templates, noun=noun), yes_no(asked == name))


def _other(rng, name):
    """Another class, half the time one of the same sort, which is the harder question."""
    same_sort = [
        other for other in CLASSES if (other in VEHICLES) == (name in VEHICLES) and other != name
    ]
    return pick(
        rng, same_sort if rng.random() < 0.5 else [other for other in CLASSES if other != name]
    )


def _sort(rng, name):
    vehicle = name in VEHICLES
    if rng.random() < 0.5:
        templates = (
            "Is this an animal or a vehicle?",
            "Animal or vehicle?",
            "Is it an animal or a vehicle?",
            "Does the photo show an animal or a vehicle?",
            "Is this a vehicle or an animal?",
        )
        return Turn(
            "animal or vehicle", pick(rng, templates), "A vehicle." if vehicle else "An animal."
        )
    asked = bool(rng.integers(2))
    templates = (
        "Is this {noun}?",
        "Is there {noun}?",
        "Does the photo show {noun}?",
        "Do you see {noun}?",
    )
    return Turn(
        "photo yes/no",
        fill(rng, templates, noun="a vehicle" if asked else "an animal"),
        yes_no(asked == vehicle),
    )


def _ability(rng, name):
    question, members = pick(
        rng,
        (
            ("Can it fly?", _FLYING),
            ("Does it have wings?", _FLYING),
            ("Does it have hooves?", _HOOFED),
            ("Does it have wheels?", _WHEELED),
            ("Is it a machine?", VEHICLES),
            ("Does it have an engine?", VEHICLES),
            ("Is it alive?", tuple(c for c in CLASSES if c not in VEHICLES)),
            ("Can it bark?", ("dog",)),
            ("Does it travel on water?", ("ship",)),
            ("Does it have feathers?", ("bird",)),
        ),
    )
    return Turn("photo yes/no", question, yes_no(name in members))


def _kind(rng, name):
    return Turn("kind", pick(rng, KIND_REQUESTS), KIND_ANSWERS["photo"])


def _odd(rng, name):
    if rng.random() < 0.4:
        return Turn("unsure", pick(rng, READ_REQUESTS), NO_TEXT)
    return beyond(rng)


_ASKERS = (_caption,) * 5 + (_name,) * 4 + (_is_it,) * 4 + (_sort,) * 3 + (_ability, _kind, _odd)
