"""Words of a user are never structure.

Before a template runs, characters of the users' words that a structure token would need are swapped
for private-use characters: one for one, drawn anew for each call and absent from everything else in
it. They are the rare signs without which there is no such token ("<", ...), and beginnings and ends
of structure texts at the edges of a content, where the template may put the rest. In the rendered
prompt they show which characters the users wrote; these become spans that the tokenizer reads as
plain text. One character stands for one character, so trimming, slicing, joining, repeating or
dropping contents keeps every mark where it belongs.

Templates that look for such a character in a content ("</think>" in content) could take another
branch. That shows as a prompt that differs from the plain one, and then only whole structure texts
and those edges are swapped, so that a template sees all other words as they are.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from chiasm.errors import RequestError

Messages = list[dict[str, Any]]
Span = tuple[str, bool]
"""Text of a prompt, and whether it is trusted."""

# Names said by the application, not by its users; templates make structure of them.
_NAMING_KEYS = {"role", "type"}
_NAME = re.compile(r"[A-Za-z0-9_-]+")
# Planes 15 and 16: private-use characters that no text has a reason to hold.
_PRIVATE = range(0xF0000, 0x10FFFE)


class WordGuard:
    """Keeps words apart from structure for a set of structure texts ("<|im_start|>", ...)."""

    def __init__(self, structure: Iterable[str]):
        self._structure = sorted({t for t in structure if t and not t.isspace()})
        self._needed = _needed_characters(self._structure)
        self._pattern = re.compile(
            "|".join(re.escape(t) for t in sorted(self._structure, key=len, reverse=True))
            or "(?!)",
            re.IGNORECASE,
        )

    def spans(self, render: Callable[[Messages], str], messages: Messages) -> list[Span]:
        """The rendered prompt, cut where a user's characters could become structure."""
        self._refuse_structure_in_keys(messages)
        plain = render(messages)
        words = list(_words(messages))
        swapped = {text[i] for text in words for i in self._spots(text)}
        swapped.update(self._needed.intersection("".join(words)))
        if not swapped:
            return [(plain, True)]
        marks = _marks(sorted(swapped), plain + "".join(words))
        rendered = render(_swap(messages, lambda text: self._mark(text, marks, self._needed)))
        if rendered.translate({ord(mark): c for c, mark in marks.items()}) != plain:
            rendered = render(_swap(messages, lambda text: self._mark(text, marks, set())))
        return _cut(rendered, marks)

    def _mark(self, text: str, marks: dict[str, str], everywhere: set[str]) -> str:
        spots = self._spots(text)
        return "".join(marks[c] if i in spots or c in everywhere else c for i, c in enumerate(text))

    def _spots(self, text: str) -> set[int]:
        """Characters of structure texts in `text`, in any case, and of beginnings and ends of them
        at the edges of `text`, where the template may put the rest."""
        spots: set[int] = set()
        at = 0
        while found := self._pattern.search(text, at):  # overlapping ones too
            spots.update(range(*found.span()))
            at = found.start() + 1
        folded = text.lower()
        if len(folded) != len(text):  # few letters have a longer lower case
            folded = text
        first, last = _edges(folded)
        for token in map(str.lower, self._structure):
            for n in range(1, len(token)):
                if folded.endswith(token[:n], 0, last):
                    spots.update(range(last - n, last))
                if folded.startswith(token[-n:], first):
                    spots.update(range(first, first + n))
        return spots

    def _refuse_structure_in_keys(self, value: Any) -> None:
        for key in _keys(value):
            if found := self._pattern.search(key):
                raise RequestError(f"messages: the key {key!r} holds the text of {found.group()}")


def _edges(text: str) -> tuple[int, int]:
    return len(text) - len(text.lstrip()), len(text.rstrip())


def _needed_characters(structure: list[str]) -> set[str]:
    """Characters such that each structure text holds at least one: rare signs rather than letters,
    with the letters' other cases."""
    needed: set[str] = set()
    left = list(structure)
    while left:
        candidates = {c for text in left for c in text if not c.isspace()}
        best = min(candidates, key=lambda c: (c.isalnum(), -sum(c in text for text in left), c))
        needed.add(best)
        left = [text for text in left if best not in text]
    return {v for c in needed for v in (c, c.lower(), c.upper()) if len(v) == 1}


def _marks(characters: Iterable[str], corpus: str) -> dict[str, str]:
    """A private character for each, absent from `corpus`."""
    taken = set(map(ord, corpus)).intersection(_PRIVATE)
    if len(taken) > len(_PRIVATE) // 2:
        raise RequestError("messages: too many different private-use characters")
    marks: dict[str, str] = {}
    for c in characters:
        while (mark := secrets.choice(_PRIVATE)) in taken:
            pass
        taken.add(mark)
        marks[c] = chr(mark)
    return marks


def _cut(rendered: str, marks: dict[str, str]) -> list[Span]:
    """Spans of the prompt: runs of marked characters, put back, are not trusted."""
    back = {mark: c for c, mark in marks.items()}
    spans: list[Span] = []
    for piece in re.split("([" + "".join(back) + "]+)", rendered):
        if piece:
            trusted = piece[0] not in back
            spans.append((piece if trusted else "".join(back[m] for m in piece), trusted))
    return spans


def _is_name(key: str, value: str) -> bool:
    return key in _NAMING_KEYS and _NAME.fullmatch(value) is not None


def _swap(value: Any, change: Callable[[str], str], key: str = "") -> Any:
    if isinstance(value, str):
        return value if _is_name(key, value) else change(value)
    if isinstance(value, dict):
        return {k: _swap(v, change, k) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_swap(v, change) for v in value]
    return value


def _words(value: Any, key: str = "") -> Iterator[str]:
    if isinstance(value, str):
        if not _is_name(key, value):
            yield value
    elif isinstance(value, dict):
        for k, v in value.items():
            yield from _words(v, k)
    elif isinstance(value, (list, tuple)):
        for v in value:
            yield from _words(v)


def _keys(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for k, v in value.items():
            yield str(k)
            yield from _keys(v)
    elif isinstance(value, (list, tuple)):
        for v in value:
            yield from _keys(v)
