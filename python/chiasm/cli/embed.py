"""`chiasm embed`."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import chiasm
from chiasm._options import utf8
from chiasm._progress import progress
from chiasm.cli.answer import picture_files
from chiasm.cli.output import json_line, output, printable
from chiasm.errors import RequestError

if TYPE_CHECKING:
    from chiasm._embedder import FloatArray

_BATCH = 64


def run(
    names: list[str],
    texts: list[str],
    *,
    model: str | None,
    json: bool,
    out: pathlib.Path | None,
    load: dict[str, Any],
) -> None:
    for text in texts:
        utf8("--text", text)
    pictures = list(picture_files(names))
    if not pictures and not texts:
        raise RequestError("nothing to embed: name pictures, or words with --text")
    embedder = chiasm.load_embedder(model, progress=True, **load)
    count = len(pictures) + len(texts)
    with output(out) as to, progress("embedding", shown=out is not None) as show:
        for done, (kind, name, vector) in enumerate(_vectors(embedder, pictures, texts)):
            if json or out is not None:
                to.write(json_line({kind: name, "embedding": vector.tolist()}) + "\n")
            else:
                first = " ".join(f"{value:+.4f}" for value in vector[:4])
                to.write(f"{printable(name, to)}: {first} ... ({len(vector)} numbers)\n")
            to.flush()
            show((done + 1) / count)


def _vectors(
    embedder: chiasm.Embedder, pictures: list[str], texts: list[str]
) -> Iterator[tuple[str, str, FloatArray]]:
    for first in range(0, len(pictures), _BATCH):
        part = pictures[first : first + _BATCH]
        for name, vector in zip(part, embedder.embed_image(part)):
            yield "picture", name, vector
    for first in range(0, len(texts), _BATCH):
        part = texts[first : first + _BATCH]
        for name, vector in zip(part, embedder.embed_text(part)):
            yield "text", name, vector
