"""`chiasm caption` and `chiasm ask`."""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Union

import chiasm
from chiasm._boxes import check_family
from chiasm._model import CAPTION
from chiasm._options import utf8
from chiasm._progress import progress
from chiasm._video import is_video
from chiasm.cli import options as o
from chiasm.cli.output import json_line, output, printable, stripped
from chiasm.errors import MediaError, RequestError

_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"}
_BATCH = 8
"""Pictures that run together: enough to share the reading of the weights, few enough that a first
answer comes soon."""
Medium = Union[str, "chiasm.Video"]


def run(
    question: str | None,
    names: list[str],
    videos: Sequence[str] = (),
    *,
    boxes: bool = False,
    sounds: list[str] | None = None,
    model: str | None,
    json: bool,
    out: pathlib.Path | None,
    load: dict[str, Any],
    settings: dict[str, Any],
    frames: dict[str, Any] | None = None,
) -> None:
    """Of each picture and video that is named, and of each of `videos`; `frames`: which of a
    video's are taken."""
    if question is not None:
        utf8("the question", question)
    chosen = frames or {}
    media: list[Medium] = [
        chiasm.Video(name, **chosen) if is_video(name) else name for name in picture_files(names)
    ]
    media += [chiasm.Video(name, **chosen) for name in videos]
    if sounds and media:
        raise RequestError(
            "--audio: a question is about what is seen or about sounds, not about both"
        )
    loaded = o.load(model, **load)
    if boxes:
        check_family(loaded.info.family)
        if not any(isinstance(medium, str) for medium in media):
            raise RequestError("--boxes: places are told in pixels of a picture; name one")
    with output(out) as to:
        if sounds and json:
            result = loaded.generate(_messages(question, None, sounds), **settings)
            to.write(json_line({"sounds": sounds, **result.as_dict()}) + "\n")
            return
        if len(media) <= 1 and not json and not boxes:
            for piece in stripped(_pieces(loaded, question, media, sounds, settings)):
                to.write(printable(piece, to))
                to.flush()
            to.write("\n")
            return
        with progress("pictures", shown=out is not None) as show:
            for medium, result in _answers(loaded, question, media, settings, show):
                places = {}
                if boxes and isinstance(medium, str):
                    places = _places(loaded, medium, result)
                if json:
                    to.write(json_line({**_named(medium), **result.as_dict(), **places}) + "\n")
                else:
                    name = next(iter(_named(medium).values()))
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
    return CAPTION if question is None else question


def _named(medium: Medium | None) -> dict[str, str]:
    """How a medium is called in the output."""
    if medium is None:
        return {}
    return {"video": medium.source} if isinstance(medium, chiasm.Video) else {"picture": medium}


def _messages(
    question: str | None, medium: Medium | None, sounds: list[str] | None = None
) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    if isinstance(medium, chiasm.Video):
        items.append({"type": "video", "video": medium})
    elif medium is not None:
        items.append({"type": "image", "path": medium})
    items += [{"type": "audio", "path": sound} for sound in sounds or ()]
    return [{"role": "user", "content": [*items, {"type": "text", "text": _words(question)}]}]


def _pieces(
    model: chiasm.Model,
    question: str | None,
    media: list[Medium],
    sounds: list[str] | None,
    settings: dict[str, Any],
) -> Iterator[str]:
    medium = media[0] if media else None
    if settings["num_beams"] > 1:  # known only at the end
        yield model.generate(_messages(question, medium, sounds), **settings).text
        return
    with model.stream(_messages(question, medium, sounds), **settings) as stream:
        yield from stream


def _answers(
    model: chiasm.Model,
    question: str | None,
    media: list[Medium],
    settings: dict[str, Any],
    show: Callable[[float], None],
) -> Iterator[tuple[Medium | None, chiasm.Result]]:
    if not media:
        yield None, model.generate(_messages(question, None), **settings)
        return
    for first in range(0, len(media), _BATCH):
        batch = media[first : first + _BATCH]

        def on_done(done: int, first: int = first) -> None:
            show((first + done) / len(media))

        answers = model.answers(batch, _words(question), on_done=on_done, **settings)
        yield from zip(batch, answers)
