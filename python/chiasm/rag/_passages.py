"""Texts cut into passages."""

from __future__ import annotations

import re
from collections.abc import Iterator

PASSAGE = 800
"""Characters of a passage at most: some 200 words' pieces, which text embedders hold (256 or more),
and few enough that a passage is about one thing."""

_HEADING = re.compile(r"#{1,6}\s|.+\n(?:=+|-+)\s*$")
_ENDS = (re.compile(r"[.!?。！？]['\")\]]*\s|[。！？]"), re.compile(r"\s"))


def passages(text: str, most: int = PASSAGE) -> Iterator[tuple[int, str]]:
    """(line, passage) in order: whole paragraphs while they fit; a longer one is cut after a
    sentence, else after a word, else anywhere. A heading begins a passage."""
    held, begun = "", 0
    for line, paragraph in _paragraphs(text):
        for cut, piece in _pieces(paragraph, most):
            if held and (len(held) + 2 + len(piece) > most or _HEADING.match(piece)):
                yield begun, held
                held = ""
            if not held:
                begun = line + paragraph.count("\n", 0, cut)
            held = f"{held}\n\n{piece}" if held else piece
    if held:
        yield begun, held


def _paragraphs(text: str) -> Iterator[tuple[int, str]]:
    """(line, paragraph): lines between empty ones."""
    held: list[str] = []
    for number, line in enumerate([*text.split("\n"), ""], 1):
        if line.strip():
            held.append(line.rstrip())
        elif held:
            yield number - len(held), "\n".join(held)
            held = []


def _pieces(paragraph: str, most: int) -> Iterator[tuple[int, str]]:
    at = 0
    while len(paragraph) - at > most:
        cut = _cut(paragraph[at : at + most])
        if piece := paragraph[at : at + cut].strip():
            yield at, piece
        at += cut
    if piece := paragraph[at:].strip():
        yield at, piece


def _cut(window: str) -> int:
    """Where to cut: the last good place in the second half of the window."""
    for end in _ENDS:
        places = [match.end() for match in end.finditer(window) if match.end() > len(window) // 2]
        if places:
            return places[-1]
    return len(window)

