"""`chiasm.quantize`."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Callable

from chiasm import _chiasm, _hub
from chiasm._options import integer, utf8
from chiasm._progress import listener
from chiasm.errors import RequestError


def quantize(
    name_or_path: str | os.PathLike[str] | None,
    out: str | os.PathLike[str],
    *,
    to: str = "int8",
    dtype: str = "auto",
    threads: int | None = None,
    force: bool = False,
    revision: str | None = None,
    token: str | bool | None = None,
    offline: bool = False,
    progress: bool | Callable[[float], None] = False,
) -> pathlib.Path:
    """Writes a model in 8 or 4 bits, packed as the kernels take it: `chiasm.load(out)` then maps it
    into memory, without packing or copying anything. It gives bit for bit the answers of
    `chiasm.load(name_or_path, quantize=to)`. Other programs cannot read the folder.

    Args:
        name_or_path: The model, as `chiasm.load` takes it: a folder or a hub id.
        out: The folder to write. It appears whole or not at all.
        to: "int8" or "int4".
        dtype: What is not quantized is kept in: "auto" (as the checkpoint), "float32", "bfloat16" or
            "float16".
        threads: CPU threads; None: all that this process may use.
        force: Replaces `out` if it is a packed model or an empty folder; anything else is kept.
        revision: A branch, tag or commit on the hub.
        token: An access token for the hub; None: the one that is saved.
        offline: Fetches nothing.
        progress: True: a bar on a terminal. Or a function, called with the fraction done.

    Returns:
        The path of `out`.

    Raises:
        ModelError: The model cannot be read, or `out` not written (a full disk).
        RequestError: A setting is out of range, `out` exists, or the model is quantized already.
    """
    folder = _hub.find_model(name_or_path, revision=revision, token=token, offline=offline)
    place = os.fspath(out)
    if not isinstance(place, str) or not place or "\0" in place:
        raise RequestError(f"out {place!r}: is no path")
    place = os.path.expanduser(place)
    with listener(progress, "quantizing") as hear:
        _chiasm.quantize(
            str(folder),
            place,
            to=utf8("to", to),
            dtype=utf8("dtype", dtype),
            threads=0 if threads is None else integer("threads", threads, 1, 1024),
            force=bool(force),
            progress=hear,
        )
    return pathlib.Path(place)
