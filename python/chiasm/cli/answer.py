"""`chiasm caption` and `chiasm ask`."""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Iterator
from typing import Any

import chiasm
from chiasm._boxes import check_family
from chiasm._options import utf8
from chiasm._progress import progress
from chiasm.cli import options as o
from chiasm.cli.output import json_line, output, printable, stripped
from chiasm.errors import MediaError, RequestError

_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"}
_BATCH = 8
"""Pictures that run together: enough to share the reading of the weights, few enough that a first
answer comes soon."""


def run(
    question: str | None,
    names: list[str],
    *,
    boxes: bool = False,
    sounds: list[str] | None = None,
    model: str | None,
    json: bool,
    out: pathlib.Path | None,
    load: dict[str, Any],
    settings: dict[str, Any],
) -> None:
    if question is not None:
        utf8("the question", question)
    pictures = list(picture_files(names))
    if sounds and pictures:
        raise RequestError("--audio: a question is about pictures or about sounds, not about both")
    loaded = o.load(model, **load)
    if boxes:
        check_family(loaded.info.family)
        if not pictures:
            raise RequestError("--boxes: places are told in pixels of a picture; name one")
    with output(out) as to:
        if sounds and json:
            result = loaded.generate(_messages(question, None, sounds), **settings)
            to.write(json_line({"sounds": sounds, **result.as_dict()}) + "\n")
            return
        if len(pictures) <= 1 and not json and not boxes:
            for piece in stripped(_pieces(loaded, question, pictures, sounds, settings)):
                to.write(printable(piece, to))
                to.flush()
            to.write("\n")
            return
        with progress("pictures", shown=out is not None) as show:
            for name, result in _answers(loaded, question, pictures, settings, show):
                places = _places(loaded, name, result) if boxes and name is not None else {}
                if json:
                    picture = {} if name is None else {"picture": name}
                    to.write(json_line({**picture, **result.as_dict(), **places}) + "\n")
                else:
                    to.write(f"{name}: {printable(' '.join(result.text.split()), to)}\n")
                    for line in _place_lines(places):
                        to.write(printable(line, to) + "\n")
                to.flush()


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


def _places(model: chiasm.Model, picture: str, result: chiasm.Result) -> dict[str, Any]:
    """Plain JSON types: {"boxes": [{"label", "left", ...}], "points": [...]}."""
    return {
        "boxes": [box._asdict() for box in model.boxes(result, picture)],
        "points": [point._asdict() for point in model.points(result, picture)],
    }


def _place_lines(places: dict[str, Any]) -> Iterator[str]:
    """`box LEFT TOP RIGHT BOTTOM LABEL` and `point X Y LABEL`, in whole pixels."""
    for kind, all_of_it in (("box", "boxes"), ("point", "points")):
        for place in places.get(all_of_it, ()):
            label, *numbers = place.values()
            words = [kind, *(str(round(n)) for n in numbers), *label.split()]
            yield "  " + " ".join(words)


def _words(question: str | None) -> str:
    return "Describe this image." if question is None else question


def _messages(
    question: str | None, picture: str | None, sounds: list[str] | None = None
) -> list[dict[str, Any]]:
    items = [] if picture is None else [{"type": "image", "path": picture}]
    items += [{"type": "audio", "path": sound} for sound in sounds or ()]
    return [{"role": "user", "content": [*items, {"type": "text", "text": _words(question)}]}]


def _pieces(
    model: chiasm.Model,
    question: str | None,
    pictures: list[str],
    sounds: list[str] | None,
    settings: dict[str, Any],
) -> Iterator[str]:
    picture = pictures[0] if pictures else None
    with model.stream(_messages(question, picture, sounds), **settings) as stream:
        yield from stream


def _answers(
    model: chiasm.Model,
    question: str | None,
    pictures: list[str],
    settings: dict[str, Any],
    show: Callable[[float], None],
) -> Iterator[tuple[str | None, chiasm.Result]]:
    if not pictures:
        yield None, model.generate(_messages(question, None), **settings)
        return
    for first in range(0, len(pictures), _BATCH):
        batch = pictures[first : first + _BATCH]

        def on_done(done: int, first: int = first) -> None:
            show((first + done) / len(pictures))

        answers = model.answers(batch, _words(question), on_done=on_done, **settings)
        yield from zip(batch, answers)
