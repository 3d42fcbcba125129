"""`chiasm chat`: a conversation on the terminal, or line by line through a pipe."""

from __future__ import annotations

import pathlib
import sys
from typing import Any

import chiasm
from chiasm.cli.output import json_line, printable, stripped
from chiasm.errors import Error, MediaError, RequestError

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

    def show(self, picture: str) -> None:
        """Puts a picture into the next message; refused at once if its header cannot be read."""
        if not picture:
            raise RequestError("/image FILE: the name of a picture is missing")
        item = {"type": "image", "path": picture}
        self.model.plan([{"role": "user", "content": [item]}], max_tokens=1)
        self.pictures.append(picture)

    def say(self, words: str, settings: dict[str, Any]) -> chiasm.Stream:
        """Streams the answer; `heard` or `unsaid` must follow."""
        items: list[dict[str, Any]] = [{"type": "image", "path": p} for p in self.pictures]
        items.append({"type": "text", "text": words})
        self.messages.append({"role": "user", "content": items if self.pictures else words})
        return self.model.stream(self.messages, **settings)

    def heard(self, answer: str) -> None:
        self.messages.append({"role": "assistant", "content": answer})
        self.pictures = []

    def unsaid(self, error: Error) -> None:
        """Takes the last message back, and pictures that cannot be read with it."""
        if self.messages and self.messages[-1]["role"] == "user":
            self.messages.pop()
        if isinstance(error, MediaError):
            self.pictures = []


def run(
    model: chiasm.Model,
    pictures: list[str],
    *,
    system: str | None,
    json: bool,
    settings: dict[str, Any],
) -> None:
    talk = Conversation(model, system)
    for picture in pictures:
        talk.show(picture)
    person = sys.stdin.isatty() and sys.stdout.isatty()
    if person:
        import readline  # noqa: F401: input() then edits lines and remembers them

        print(f"{pathlib.Path(model.info.path).resolve().name}. /help lists commands.")
    while True:
        try:
            line = input("> " if person else "").strip()
        except (EOFError, KeyboardInterrupt) as e:
            if person:
                print()  # what follows begins a line of its own
            if isinstance(e, KeyboardInterrupt):
                raise
            break
        if line in ("/exit", "/quit"):
            break
        if line == "/help":
            print(_HELP)
        elif line == "/reset":
            talk.reset()
        elif line:
            try:
                if line.split()[0] == "/image":
                    talk.show(line.removeprefix("/image").strip())
                else:
                    _answer(talk, line, json, person, settings)
            except Error as e:
                if not person:  # a script wants to hear of it in the exit code
                    raise
                print(f"chiasm: error: {' '.join(str(e).split())}", file=sys.stderr)


def _answer(
    talk: Conversation, line: str, json: bool, person: bool, settings: dict[str, Any]
) -> None:
    said, result = "", None
    try:
        with talk.say(line, settings) as stream:
            for piece in stripped(stream):
                said += piece
                if not json:
                    sys.stdout.write(printable(piece, sys.stdout))
                    sys.stdout.flush()
            result = stream.result
    except KeyboardInterrupt:  # ends this answer; at the prompt it ends the program
        if not person:
            raise
    except Error as e:
        talk.unsaid(e)
        raise
    talk.heard(said)
    if json and result is not None:
        print(json_line(result.as_dict()), flush=True)
    elif not json:
        print(flush=True)
