"""What is written on signs: words of a list, made-up words, numbers."""

import functools
from pathlib import Path

import numpy as np

_CONSONANTS = "bcdfghjklmnpqrstvwxz"
_VOWELS = "aeiouy"
_SIGNS = (
    "open",
    "closed",
    "stop",
    "exit",
    "sale",
    "welcome",
    "danger",
    "hello",
    "push",
    "pull",
    "caution",
    "taxi",
    "hotel",
    "cafe",
    "menu",
    "parking",
    "police",
    "school",
    "bus",
    "station",
    "library",
    "no entry",
    "thank you",
    "hello world",
    "keep out",
    "happy birthday",
    "good morning",
    "for sale",
    "one way",
    "slow",
    "chiasm",
)


@functools.cache
def word_list(held_out: bool) -> tuple[str, ...]:
    """Lower-case words of 2 to 10 letters; every twentieth is kept for validation."""
    words = (Path(__file__).parent / "words.txt").read_text().split()
    return tuple(word for number, word in enumerate(words) if (number % 20 == 0) == held_out)


def draw_text(rng: np.random.Generator, held_out: bool = False) -> str:
    """A word, a few words or a number, in one of several letter cases."""
    kind = rng.random()
    if kind < 0.5:
        words = word_list(held_out)
        return _case(rng, words[rng.integers(len(words))])
    if kind < 0.58 and not held_out:
        return _case(rng, _SIGNS[rng.integers(len(_SIGNS))])
    if kind < 0.72:
        words = word_list(held_out)
        return _case(rng, " ".join(words[i] for i in rng.integers(len(words), size=2)))
    if kind < 0.86:
        return _case(rng, _made_up(rng))
    return _number(rng)


def _case(rng: np.random.Generator, text: str) -> str:
    how = rng.random()
    return (
        text
        if how < 0.4
        else text.upper()
        if how < 0.75
        else text.capitalize()
        if how < 0.9
        else text.title()
    )


def _made_up(rng: np.random.Generator) -> str:
    if rng.random() < 0.5:
        return "".join(chr(97 + letter) for letter in rng.integers(0, 26, int(rng.integers(2, 9))))
    letters = []
    for place in range(int(rng.integers(3, 10))):
        pool = _VOWELS if (place + int(rng.random() < 0.15)) % 2 else _CONSONANTS
        letters.append(pool[rng.integers(len(pool))])
    return "".join(letters)


def _number(rng: np.random.Generator) -> str:
    kind = rng.random()
    digits = "".join(str(digit) for digit in rng.integers(0, 10, int(rng.integers(1, 7))))
    if kind < 0.6:
        return digits
    if kind < 0.7:
        return f"{rng.integers(0, 24)}:{rng.integers(0, 60):02d}"
    if kind < 0.8:
        return f"${rng.integers(1, 100)}.{rng.integers(0, 100):02d}"
    if kind < 0.9:
        return f"{rng.integers(1, 100)}%"
    return (
        "".join(chr(65 + letter) for letter in rng.integers(0, 26, int(rng.integers(1, 4))))
        + digits[:4]
    )
