"""The text of an answer as a client sees it."""

from __future__ import annotations


class Stripper:
    """The pieces of a text without the white space around it, each as soon as it can be told."""

    def __init__(self) -> None:
        self._held = ""
        self._begun = False

    def push(self, piece: str) -> str:
        text = self._held + piece
        if not self._begun:
            text = text.lstrip()
        body = text.rstrip()
        self._held = text[len(body) :]
        self._begun = self._begun or bool(body)
        return body
