"""`chiasm caption` and `chiasm ask`."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator
from typing import Any

import chiasm
from chiasm._options import utf8
from chiasm.cli import options as o
from chiasm.cli.output import json_line, output, printable, progress, stripped
from chiasm.errors import MediaError

_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"}
_BATCH = 8
"""Pictures that run together: enough to share the reading of the weights, few enough that a first
answer comes soon."""


def run(
    question: str | None,
    names: list[str],
    *,
    model: str | None,
    json: bool,
    out: pathlib.Path | None,
    load: dict[str, Any],
    settings: dict[str, Any],
) -> None:
    if question is not None:
        utf8("the question", question)
    pictures = list(picture_files(names))
    loaded = o.load(model, **load)
    with output(out) as to:
        if len(pictures) <= 1 and not json:
            for piece in stripped(_pieces(loaded, question, pictures, settings)):
                to.write(printable(piece, to))
                to.flush()
            to.write("\n")
            return
        with progress("pictures", shown=out is not None) as show:
            for done, (name, result) in enumerate(_answers(loaded, question, pictures, settings)):
                if json:
                    picture = {} if name is None else {"picture": name}
                    to.write(json_line({**picture, **result.as_dict()}) + "\n")
                else:
                    to.write(f"{name}: {printable(' '.join(result.text.split()), to)}\n")
                to.flush()
                show((done + 1) / max(1, len(pictures)))


def picture_files(names: list[str]) -> Iterator[str]:
    """The files that are named, and the pictures in the folders that are."""
    for name in names:
        path = pathlib.Path(name)
        if not path.is_dir():
            yield name
            continue
        found = sorted(f for f in path.iterdir() if f.suffix.lower() in _SUFFIXES and f.is_file())
        if not found:
            raise MediaError(f"{name}: no pictures in this folder ({', '.join(sorted(_SUFFIXES))})")
        yield from map(str, found)


def _words(question: str | None) -> str:
    return "Describe this image." if question is None else question


def _messages(question: str | None, picture: str | None) -> list[dict[str, Any]]:
    image = [] if picture is None else [{"type": "image", "path": picture}]
    return [{"role": "user", "content": [*image, {"type": "text", "text": _words(question)}]}]


def _pieces(
    model: chiasm.Model, question: str | None, pictures: list[str], settings: dict[str, Any]
) -> Iterator[str]:
    picture = pictures[0] if pictures else None
    with model.stream(_messages(question, picture), **settings) as stream:
        yield from stream


def _answers(
    model: chiasm.Model, question: str | None, pictures: list[str], settings: dict[str, Any]
) -> Iterator[tuple[str | None, chiasm.Result]]:
    if not pictures:
        yield None, model.generate(_messages(question, None), **settings)
        return
    for first in range(0, len(pictures), _BATCH):
        batch = pictures[first : first + _BATCH]
        yield from zip(batch, model.answers(batch, _words(question), **settings))
