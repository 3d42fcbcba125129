"""`chiasm embed`."""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Iterator
from typing import Any

import chiasm
from chiasm._options import utf8
from chiasm._progress import progress
from chiasm.cli.answer import picture_files
from chiasm.cli.output import binary_output, json_line, output, printable
from chiasm.errors import RequestError

_BATCH = 64


def run(
    names: list[str],
    texts: list[str],
    *,
    prompt: str | None,
    truncate: bool,
    numbers: str,
    model: str | None,
    json: bool,
    out: pathlib.Path | None,
    load: dict[str, Any],
) -> None:
    from chiasm._vectors import FORMATS, narrowed

    if numbers not in FORMATS:
        raise RequestError(f"--as {numbers}: is not known; use {', '.join(FORMATS)}")
    for text in texts:
        utf8("--text", text)
    pictures = list(picture_files([name for name in names if not _holds_text(name)]))
    lines = [line for name in names if _holds_text(name) for line in _lines(name)]
    if not pictures and not texts and not lines:
        raise RequestError("nothing to embed: name pictures or .txt files, or words with --text")
    embedder = chiasm.load_embedder(model, progress=True, **load)

    def embed_text(part: list[str]) -> Any:
        return embedder.embed_text(part, prompt=prompt, truncate=truncate)

    words = [*lines, *texts]
    rows = [("picture", name) for name in pictures] + [("text", text) for text in words]
    with progress("embedding", shown=out is not None) as show:
        found = _vectors((embedder.embed_image, pictures), (embed_text, words))
        vectors = (
            (kind, name, narrowed(vector, numbers))
            for (kind, name), vector in zip(rows, _shown(len(rows), show, found))
        )
        if out is not None and out.suffix == ".npy":
            _write_array(vectors, out)
        else:
            _write_lines(vectors, out, json or out is not None)


def _holds_text(name: str) -> bool:
    return pathlib.Path(name).suffix.lower() == ".txt"


def _lines(name: str) -> list[str]:
    """The lines of a file that hold more than spaces."""
    try:
        text = pathlib.Path(name).read_text(encoding="utf-8")
    except OSError as e:
        raise RequestError(f"{name}: cannot be read: {e.strerror}") from e
    except UnicodeDecodeError as e:
        raise RequestError(f"{name}: is no UTF-8 text at byte {e.start}") from e
    return [line for line in text.splitlines() if line.strip()]


def _vectors(*parts: tuple[Callable[[list[str]], Any], list[str]]) -> Iterator[Any]:
    for embed, items in parts:
        for first in range(0, len(items), _BATCH):
            yield from embed(items[first : first + _BATCH])


def _shown(count: int, show: Callable[[float], None], vectors: Iterator[Any]) -> Iterator[Any]:
    for done, vector in enumerate(vectors):
        yield vector
        show((done + 1) / count)


def _write_array(vectors: Iterator[tuple[str, str, Any]], out: pathlib.Path) -> None:
    import numpy as np

    with binary_output(out) as to:
        np.save(to, np.stack([vector for _, _, vector in vectors]), allow_pickle=False)


def _write_lines(
    vectors: Iterator[tuple[str, str, Any]], out: pathlib.Path | None, as_json: bool
) -> None:
    with output(out) as to:
        for kind, name, vector in vectors:
            if as_json:
                to.write(json_line({kind: name, "embedding": vector.tolist()}) + "\n")
            else:
                first = " ".join(f"{value:+.4g}" for value in vector[:4])
                to.write(f"{printable(name, to)}: {first} ... ({len(vector)} numbers)\n")
            to.flush()
