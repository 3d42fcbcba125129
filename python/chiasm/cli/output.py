"""Output for people and for machines."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pathlib
import re
import sys
import tempfile
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO, TextIO

from chiasm.errors import RequestError

# A model may say anything, escape sequences of a terminal too.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def printable(text: str, to: TextIO) -> str:
    """`text` without control characters where `to` is a terminal."""
    return _CONTROL.sub("", text) if to.isatty() else text


def stripped(pieces: Iterable[str]) -> Iterator[str]:
    """The pieces of a text without the white space around it, each as soon as it can be told."""
    held, begun = "", False
    for piece in pieces:
        text = held + piece
        if not begun:
            text = text.lstrip()
        body = text.rstrip()
        held = text[len(body) :]
        if body:
            begun = True
            yield body


def json_line(data: Any) -> str:
    return json.dumps(data, ensure_ascii=False)


@contextlib.contextmanager
def output(file: pathlib.Path | None) -> Iterator[TextIO]:
    """Standard output, or `file`, which appears whole at the end or not at all."""
    if file is None:
        yield sys.stdout
        return
    with binary_output(file) as raw:
        stream = io.TextIOWrapper(raw, encoding="utf-8", newline="\n", write_through=True)
        yield stream
        stream.detach()  # the file is closed below


@contextlib.contextmanager
def binary_output(file: pathlib.Path) -> Iterator[BinaryIO]:
    """`file`, which appears whole at the end or not at all."""
    if not file.name or file.is_dir():
        raise RequestError(f"--out {file}: is a folder, expected a file")
    try:
        handle, temporary = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
    except OSError as e:
        raise RequestError(f"--out {file}: cannot be written: {e.strerror}") from e
    try:
        with open(handle, "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)
        os.replace(temporary, file)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def bytes_text(count: int) -> str:
    """ "1.5 MB": decimal units, as drives and networks are sold."""
    value = float(count)
    for unit in ("bytes", "kB", "MB", "GB"):
        if value < 1000 or unit == "GB":
            return f"{count} bytes" if unit == "bytes" else f"{value:.1f} {unit}"
        value /= 1000
    raise AssertionError


def table(rows: list[tuple[str, str]], to: TextIO) -> None:
    """Two columns, the second one left-aligned."""
    width = max((len(name) for name, _ in rows), default=0)
    for name, value in rows:
        to.write(f"{name:<{width}}  {printable(value, to)}\n")
