"""`chiasm transcribe`."""

from __future__ import annotations

import pathlib
from typing import Any

import chiasm
from chiasm._progress import progress
from chiasm._transcript import Transcript
from chiasm.cli import options as o
from chiasm.cli.output import json_line, output, printable
from chiasm.errors import RequestError

_FORMATS = ("text", "srt", "vtt", "json")


def run(
    names: list[str],
    *,
    model: str | None,
    format: str,
    out: pathlib.Path | None,
    load: dict[str, Any],
    settings: dict[str, Any],
) -> None:
    if format not in _FORMATS:
        raise RequestError(f"--format {format}: expected one of {', '.join(_FORMATS)}")
    if format in ("srt", "vtt") and len(names) > 1:
        raise RequestError(f"--format {format}: give one sound; such a file holds no more")
    loaded = o.load(model, **load)
    with output(out) as to:
        for name in names:
            transcript = _transcribe(loaded, name, settings)
            to.write(_written(transcript, name if len(names) > 1 else None, format, to))
            to.flush()


def _transcribe(model: chiasm.Model, name: str, settings: dict[str, Any]) -> Transcript:
    with progress("transcribing", after=0.5) as show:
        return model.transcribe(name, on_segment=lambda _, done: show(done), **settings)


def _written(transcript: Transcript, name: str | None, format: str, to: Any) -> str:
    if format == "json":
        return (
            json_line({"sound": name, **transcript.as_dict()} if name else transcript.as_dict())
            + "\n"
        )
    if format == "srt":
        return printable(transcript.srt(), to)
    if format == "vtt":
        return printable(transcript.vtt(), to)
    words = printable(transcript.text, to)
    return f"{name}: {words}\n" if name else f"{words}\n"
