"""`chiasm chat`: a conversation on the terminal, or line by line through a pipe."""

from __future__ import annotations

import sys
from typing import Any

import chiasm
from chiasm.cli.output import json_line, printable, stripped
from chiasm.errors import Error

_HELP = """/image FILE  put a picture into the next message
/reset       begin anew
/exit        leave (so does the end of input)"""


class Conversation:
    """Messages so far. Keys and values of what was said before stay in the engine's cache."""

    def __init__(self, model: chiasm.Model, system: str | None):
        self.model = model
        self._system = [] if system is None else [{"role": "system", "content": system}]
        self.messages: list[dict[str, Any]] = list(self._system)
        self.pictures: list[str] = []

    def reset(self) -> None:
        self.messages = list(self._system)
        self.pictures = []

    def say(self, words: str, settings: dict[str, Any]) -> chiasm.Stream:
        """Streams the answer; `heard` or `unsaid` must follow."""
        items: list[dict[str, Any]] = [{"type": "image", "path": p} for p in self.pictures]
        items.append({"type": "text", "text": words})
        self.messages.append({"role": "user", "content": items if self.pictures else words})
        return self.model.stream(self.messages, **settings)

    def heard(self, answer: str) -> None:
        self.messages.append({"role": "assistant", "content": answer})
        self.pictures = []

    def unsaid(self) -> None:
        """Takes the last message back, after an error."""
        if self.messages and self.messages[-1]["role"] == "user":
            self.messages.pop()


def run(
    model: chiasm.Model,
    pictures: list[str],
    *,
    system: str | None,
    json: bool,
    settings: dict[str, Any],
) -> None:
    talk = Conversation(model, system)
    talk.pictures = list(pictures)
    person = sys.stdin.isatty() and sys.stdout.isatty()
    if person:
        import readline  # noqa: F401: input() then edits lines and remembers them
    failed: Error | None = None
    while True:
        try:
            line = input("> " if person else "").strip()
        except EOFError:
            break
        if line in ("/exit", "/quit"):
            break
        if line == "/help":
            print(_HELP)
        elif line == "/reset":
            talk.reset()
        elif line.startswith("/image "):
            talk.pictures.append(line.removeprefix("/image ").strip())
        elif line:
            try:
                _answer(talk, line, json, person, settings)
            except Error as e:
                talk.unsaid()
                if not person:  # a script wants to hear of it in the exit code
                    failed = failed or e
                    break
                print(f"chiasm: error: {' '.join(str(e).split())}", file=sys.stderr)
    if failed is not None:
        raise failed


def _answer(
    talk: Conversation, line: str, json: bool, person: bool, settings: dict[str, Any]
) -> None:
    said = ""
    with talk.say(line, settings) as stream:
        try:
            for piece in stripped(stream):
                said += piece
                if not json:
                    sys.stdout.write(printable(piece, sys.stdout))
                    sys.stdout.flush()
        except KeyboardInterrupt:  # ends this answer; at the prompt it ends the program
            if not person:
                raise
        result = stream.result
    talk.heard(said)
    if json and result is not None:
        print(json_line(result.as_dict()), flush=True)
    elif not json:
        print(flush=True)
