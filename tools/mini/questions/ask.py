"""One door to all questions, and captions for search."""

import numpy as np

from ..pictures.sample import Sample
from .about_photos import NAMES, ask_photo
from .about_scenes import ask_scene, describe
from .about_text import ask_chart, ask_display, ask_sign
from .phrasing import Turn, article, fill, spoken

_WITH_SLOW = {"scene": ask_scene, "chart": ask_chart, "text": ask_sign}
_ASKERS = {
    "photo": ask_photo,
    "display": ask_display,
}


def ask(rng: np.random.Generator, sample: Sample, slow: float = 0.0) -> Turn:
    """One question about `sample`, worded as people do, and its answer; `slow`: see `ask_scene`."""
    if sample.kind in _WITH_SLOW:
        turn = _WITH_SLOW[sample.kind](rng, sample, slow)
    else:
        turn = _ASKERS[sample.kind](rng, sample)
    return Turn(turn.topic, spoken(rng, turn.question), turn.answer)


def subject(sample: Sample) -> str:
    """What a search for this picture would name; equal subjects count as matches of each other."""
    facts = sample.facts
    if sample.kind == "photo":
        return article(NAMES[facts["name"]])
    if sample.kind == "scene":
        return describe(facts["things"])
    if sample.kind == "text":
        return f'the text "{" ".join(facts["lines"])}"'
    if sample.kind == "chart":
        return f"a bar chart with {len(facts['bars'])} bars"
    return f'a display that shows "{facts["digits"]}"'


def search_text(rng: np.random.Generator, sample: Sample) -> str:
    """Words that a person might search with to find `sample`."""
    named = subject(sample)
    if sample.kind == "photo":
        templates = (
            "{named}",
            "a photo of {named}",
            "a picture of {named}",
            "{bare}",
            "an image of {named}",
        )
        return fill(rng, templates, named=named, bare=named.split(" ", 1)[1])
    if sample.kind == "text":
        templates = ("{named}", "a sign that says {quoted}", "{quoted}", "a picture of {named}")
        return fill(rng, templates, named=named, quoted=named.removeprefix("the text "))
    return fill(
        rng, ("{named}", "a drawing of {named}", "{named}", "a picture of {named}"), named=named
    )
