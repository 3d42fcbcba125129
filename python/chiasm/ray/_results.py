"""Results in a LanceDB folder: a row for each content, and a row for each file that holds it."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import pathlib
from collections.abc import Iterator
from typing import Any

from chiasm.errors import RequestError
from chiasm.rag._files import SETTINGS_FILE, Found, shown, trusted_time
from chiasm.rag._interrupt import unbroken
from chiasm.rag._settings import keep
from chiasm.rag._store import compact, one_writer, opened

_VERSION = 1
_ITEMS, _FILES = "items", "files"
_OF_ITEM = ("hash", "size")
"""Columns of every table of items, before those of the task."""


@dataclasses.dataclass(frozen=True)
class Seen:
    """A file of an earlier run."""

    hash: str | None
    error: str | None
    size: int
    mtime_ns: int
    """0: not to be trusted."""

    def is_still(self, found: Found) -> bool:
        """Whether there is nothing new to be had from it."""
        same = (self.size, self.mtime_ns) == (found.size, found.mtime_ns)
        return same and self.mtime_ns != 0 and self.hash is not None


class Results:
    """The tables, written by one process at a time. What is in `items` is never written again, so
    that work which is done twice leaves one row."""

    def __init__(self, folder: pathlib.Path):
        self._db = opened(folder)
        names = set(self._db.list_tables().tables)
        self._files = self._db.open_table(_FILES) if _FILES in names else None
        self._items = self._db.open_table(_ITEMS) if _ITEMS in names else None

    def hashes(self) -> set[str]:
        """The contents that there are results of."""
        if self._items is None:
            return set()
        batches = self._items.search().select(["hash"]).to_batches()
        return {hash for batch in batches for hash in batch.column("hash").to_pylist()}

    def files(self) -> dict[str, Seen]:
        """By `Found.key`."""
        if self._files is None:
            return {}
        names = ["file", *(field.name for field in dataclasses.fields(Seen))]
        rows = (
            row
            for batch in self._files.search().select(names).to_batches()
            for row in batch.to_pylist()
        )
        return {row.pop("file"): Seen(**row) for row in rows}

    def write(self, items: list[dict[str, Any]], files: list[dict[str, Any]]) -> None:
        """Items first: a file whose row is missing is looked at again, and its content is known."""
        import pyarrow as pa

        with unbroken():
            if items:
                if self._items is None:
                    self._items = self._db.create_table(_ITEMS, schema=_item_schema(items[0]))
                data = pa.Table.from_pylist(items, schema=self._items.schema)
                self._items.merge_insert("hash").when_not_matched_insert_all().execute(data)
            if files:
                if self._files is None:
                    self._files = self._db.create_table(_FILES, schema=_file_schema())
                data = pa.Table.from_pylist(files, schema=self._files.schema)
                merge = self._files.merge_insert("file").when_matched_update_all()
                merge.when_not_matched_insert_all().execute(data)

    def finish(self) -> None:
        for table in (self._items, self._files):
            if table is not None:
                compact(table)

    def rows(self) -> Iterator[dict[str, Any]]:
        """As `results` gives them."""
        if self._files is None:
            return
        places: dict[str, list[str]] = {}
        columns = ["path", "hash", "error"]
        for batch in self._files.search().select(columns).to_batches():
            for row in batch.to_pylist():
                if row["error"] is not None:
                    yield row
                else:
                    places.setdefault(row["hash"], []).append(row["path"])
        if self._items is None:
            return
        for batch in self._items.search().to_batches():
            for row in batch.to_pylist():
                for path in places.get(row["hash"], []):
                    yield {"path": path, "hash": row["hash"], "error": None} | row



def file_row(found: Found, hash: str | None, error: str | None) -> dict[str, Any]:
    name = shown(found.path)
    raw = os.fsencode(found.path)
    return {
        "file": found.key,
        "path": name,
        "raw_path": None if name.encode() == raw else raw,
        "hash": hash,
        "error": error,
        "size": found.size,
        "mtime_ns": trusted_time(found),
    }


def results(out: str | os.PathLike[str]) -> Iterator[dict[str, Any]]:
    """What `caption`, `transcribe` or `embed` found, a dict for each file: `path`, `hash` (SHA-256 of
    its bytes, in hexadecimal; None where they could not be read), `error` (None where there is none)
    and what was made of it.

    Raises:
        RequestError: There are no such results.
    """
    folder = pathlib.Path(out).absolute()
    if _kept(folder) is None:
        raise RequestError(f"{folder}: no results here")
    return Results(folder).rows()


@contextlib.contextmanager
def writing(folder: pathlib.Path, made_with: dict[str, Any]) -> Iterator[Results]:
    """The results in `folder`, to be added to.

    Raises:
        RequestError: They were made with other settings, another process writes, or something else
            is there.
    """
    try:
        wanted = json.loads(json.dumps(made_with | {"version": _VERSION}))
    except (TypeError, ValueError) as e:
        raise RequestError(f"settings are kept beside the results as JSON: {e}") from e
    kept = _kept(folder)
    if kept is None:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise RequestError(f"{shown(str(folder))}: exists, and holds no results")
        keep(folder, wanted)
    elif kept != wanted:
        names = sorted(k for k in kept.keys() | wanted.keys() if kept.get(k) != wanted.get(k))
        told = "; ".join(f"{n}: {kept.get(n)!r} there, {wanted.get(n)!r} now" for n in names)
        raise RequestError(f"{folder}: results made otherwise ({told}); give another folder")
    with one_writer(folder):
        yield Results(folder)


def _kept(folder: pathlib.Path) -> dict[str, Any] | None:
    file = folder / SETTINGS_FILE
    try:
        kept = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as e:
        raise RequestError(f"{file}: cannot be read: {e}") from e
    if not isinstance(kept, dict) or "task" not in kept:
        raise RequestError(f"{folder}: holds an index or something else, no results")
    return kept


def _item_schema(example: dict[str, Any]) -> Any:
    import pyarrow as pa

    made = {name: _type_of(value) for name, value in example.items() if name not in _OF_ITEM}
    return pa.schema([("hash", pa.string()), ("size", pa.int64()), *made.items()])


def _file_schema() -> Any:
    import pyarrow as pa

    text, whole = pa.string(), pa.int64()
    types = {"file": text, "path": text, "raw_path": pa.binary(), "hash": text, "error": text}
    return pa.schema(list((types | {"size": whole, "mtime_ns": whole}).items()))


def _type_of(value: Any) -> Any:
    """A column's type from a value. Vectors have one length, so that they can be searched."""
    import numpy as np
    import pyarrow as pa

    if isinstance(value, np.ndarray):
        return pa.list_(pa.from_numpy_dtype(value.dtype), len(value))
    if isinstance(value, list):
        real = pa.float64()
        return pa.list_(pa.struct([("start", real), ("end", real), ("text", pa.string())]))
    return {str: pa.string(), float: pa.float64()}[type(value)]
