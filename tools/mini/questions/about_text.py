"""Questions about signs, digit displays and bar charts."""

import numpy as np

from ..pictures.sample import Sample
from ..pictures.words import draw_text
from .listings import list_bars, list_letters
from .phrasing import (
    CAPTION_REQUESTS,
    KIND_ANSWERS,
    KIND_REQUESTS,
    READ_REQUESTS,
    Turn,
    beyond,
    fill,
    pick,
    sentence,
    yes_no,
)


def ask_sign(rng: np.random.Generator, sample: Sample, slow: float = 0.0) -> Turn:
    """One question about a sign. `slow`: see `ask_scene`."""
    lines, text = sample.facts["lines"], " ".join(sample.facts["lines"])
    if slow and rng.random() < slow:
        return list_letters(rng, lines)
    kind = rng.random()
    if kind < 0.5:
        return Turn("text reading", pick(rng, READ_REQUESTS), f'"{text}"')
    if kind < 0.66:
        return Turn("text reading", pick(rng, CAPTION_REQUESTS), f'A sign that says "{text}".')
    if kind < 0.72:
        templates = (
            "What colour is the text?",
            "What is the colour of the letters?",
            "Which colour is the writing?",
            "What colour are the letters?",
        )
        return Turn("text colour", pick(rng, templates), sentence(sample.facts["colour"]))
    if kind < 0.77:
        templates = (
            "What colour is the background?",
            "What is the background colour?",
            "What colour is the sign?",
        )
        return Turn("text colour", pick(rng, templates), sentence(sample.facts["background"]))
    if kind < 0.82:
        return Turn(
            "lines",
            pick(rng, ("How many lines are there?", "How many lines of text do you see?")),
            str(len(lines)),
        )
    if kind < 0.9:
        return _part(rng, lines, text)
    if kind < 0.94:
        asked = (
            text
            if rng.random() < 0.5
            else _misread(rng, text)
            if rng.random() < 0.5
            else draw_text(rng)
        )
        templates = (
            'Does it say "{text}"?',
            'Does the sign say "{text}"?',
            'Is "{text}" written here?',
        )
        return Turn("text yes/no", fill(rng, templates, text=asked), yes_no(asked == text))
    if kind < 0.97:
        return Turn("kind", pick(rng, KIND_REQUESTS), KIND_ANSWERS["text"])
    return beyond(rng)


def _misread(rng, text: str) -> str:
    """`text` with one character changed."""
    place = int(rng.integers(len(text)))
    return (
        text[:place]
        + pick(rng, [c for c in "abcdefghijklmnopqrstuvwxyz" if c != text[place]])
        + text[place + 1 :]
    )


def _part(rng, lines, text) -> Turn:
    if len(lines) > 1 and rng.random() < 0.6:
        number = int(rng.integers(len(lines)))
        templates = (
            "What does the {place} line say?",
            "Read the {place} line.",
            "What is the {place} line?",
        )
        return Turn(
            "text part",
            fill(rng, templates, place=("first", "second", "third")[number]),
            f'"{lines[number]}"',
        )
    if rng.random() < 0.5:
        return Turn(
            "text part",
            pick(rng, ("What is the first letter?", "Which character comes first?")),
            f'"{text[0]}"',
        )
    return Turn(
        "text part",
        pick(rng, ("What is the last letter?", "Which character comes last?")),
        f'"{text[-1]}"',
    )


def ask_display(rng: np.random.Generator, sample: Sample) -> Turn:
    """One question about a seven-segment display."""
    digits = sample.facts["digits"]
    kind = rng.random()
    if kind < 0.5:
        templates = (
            "What number is shown?",
            "What does the display show?",
            "Read the display.",
            "What is the number?",
            "Which number do you see?",
            "What digits are shown?",
            "What does the display say?",
        )
        return Turn("display", pick(rng, templates), f'"{digits}"')
    if kind < 0.62:
        return Turn("display", pick(rng, READ_REQUESTS), f'"{digits}"')
    if kind < 0.78:
        return Turn("display", pick(rng, CAPTION_REQUESTS), f'A display that shows "{digits}".')
    if kind < 0.86:
        return Turn(
            "display",
            pick(rng, ("How many digits are there?", "How many digits do you see?")),
            str(len(digits)),
        )
    if kind < 0.93:
        return Turn(
            "text colour",
            pick(rng, ("What colour are the digits?", "What colour is the number?")),
            sentence(sample.facts["colour"]),
        )
    if kind < 0.97:
        return Turn("kind", pick(rng, KIND_REQUESTS), KIND_ANSWERS["display"])
    return beyond(rng)


_HIGHEST = (
    "Which bar is highest?",
    "Which bar is the tallest?",
    "Which bar is the highest?",
    "What is the tallest bar?",
    "Which bar is largest?",
    "Which bar has the largest value?",
)
_LOWEST = (
    "Which bar is lowest?",
    "Which bar is the shortest?",
    "Which bar is the lowest?",
    "What is the shortest bar?",
    "Which bar is smallest?",
    "Which bar has the smallest value?",
)


def ask_chart(rng: np.random.Generator, sample: Sample, slow: float = 0.0) -> Turn:
    """One question about a bar chart. `slow`: see `ask_scene`."""
    bars = sample.facts["bars"]
    many_colours = len({colour for _, colour, _ in bars}) == len(bars)
    if slow and (bars[0][0] or many_colours) and rng.random() < slow:
        return list_bars(rng, bars)
    kind = rng.random()
    if kind < 0.4:
        highest = rng.random() < 0.6
        bar = (max if highest else min)(bars, key=lambda entry: entry[2])
        return Turn("chart", pick(rng, _HIGHEST if highest else _LOWEST), sentence(_bar_name(bar)))
    if kind < 0.5 and many_colours:
        highest = rng.random() < 0.6
        bar = (max if highest else min)(bars, key=lambda entry: entry[2])
        word = pick(rng, ("highest", "tallest")) if highest else pick(rng, ("lowest", "shortest"))
        templates = ("What colour is the {word} bar?", "What is the colour of the {word} bar?")
        return Turn("chart", fill(rng, templates, word=word), sentence(bar[1]))
    if kind < 0.65:
        return Turn(
            "chart count",
            pick(
                rng,
                (
                    "How many bars are there?",
                    "How many bars do you see?",
                    "How many bars does the chart have?",
                ),
            ),
            str(len(bars)),
        )
    if kind < 0.78:
        first, second = (bars[i] for i in rng.choice(len(bars), 2, replace=False))
        if bars[0][0] or many_colours:
            templates = ("Is {first} higher than {second}?", "Is {first} taller than {second}?")
            question = fill(rng, templates, first=_bar_name(first), second=_bar_name(second))
            return Turn("chart yes/no", question, yes_no(first[2] > second[2]))
    if kind < 0.88 and bars[0][0]:
        bar = pick(rng, bars)
        return Turn("chart", f"What colour is bar {bar[0]}?", sentence(bar[1]))
    if kind < 0.95:
        return Turn(
            "chart caption", pick(rng, CAPTION_REQUESTS), f"A bar chart with {len(bars)} bars."
        )
    return Turn("kind", pick(rng, KIND_REQUESTS), KIND_ANSWERS["chart"])


def _bar_name(bar) -> str:
    letter, colour, _ = bar
    return f"bar {letter}" if letter else f"the {colour} bar"
