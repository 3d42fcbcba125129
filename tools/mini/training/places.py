"""Where the picture shows what an answer says next: the place that `order` labels give its patches.

A letter of a sign or display has the number of the patch's first letter that is not behind it; a thing of a
caption that of its group.
"""

import re

from ..pictures.sample import Sample
from ..questions.phrasing import Turn

_BETWEEN = re.compile(r", | and ")


def places_of(turn: Turn, sample: Sample, offsets: list[tuple[int, int]]) -> list[int]:
    """For each token of " ANSWER" and what ends it, 1 + the place of what it says; 0 where it says none.

    `offsets`: where each token begins and ends in that text.
    """
    shown = _shown(turn, sample)
    text = f" {turn.answer}"
    places = []
    for begin, end in offsets:
        while begin < end and text[begin : begin + 1].isspace():
            begin += 1
        places.append(shown.get(begin, 0) if begin < end else 0)
    return places


def _shown(turn: Turn, sample: Sample) -> dict[int, int]:
    """1 + place by the character of the text that says it."""
    text = f" {turn.answer}"
    if turn.topic == "scene caption":
        shown, group, begin = {}, 1, 1
        for found in _BETWEEN.finditer(text):
            shown |= dict.fromkeys(range(begin, found.start()), group)
            group, begin = group + 1, found.end()
        return shown | dict.fromkeys(range(begin, len(text) - 1), group)
    if turn.topic == "text reading":
        lines = sample.facts["lines"]
    elif turn.topic == "display" and '"' in turn.answer:
        lines = [sample.facts["digits"]]
    else:
        return {}
    shown, at, place = {}, text.index('"') + 1, 1
    for line in lines:
        for _ in line:
            shown[at] = place
            at, place = at + 1, place + 1
        at += 1
    return shown
