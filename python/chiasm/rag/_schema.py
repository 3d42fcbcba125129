"""The table: one row an item. docs/retrieval.md lists the columns for users."""

from __future__ import annotations

import os
import re
from typing import Any

import numpy as np

from chiasm.rag._files import Found, file_key, shown
from chiasm.rag._items import Item

TABLE = "items"
KINDS = ("picture", "page", "passage", "speech", "frame")
VECTORS = ("image_vector", "text_vector")
PLAIN = (
    "id file path raw_path kind part page line start_s end_s title caption text width height"
    " size mtime_ns hash"
).split()
"""Columns that a search gives back: all but the vectors, the thumbnail and `words`."""

_APART = re.compile(r"[\W_]+")


def table_schema(sizes: dict[str, int]) -> Any:
    """The schema; `sizes` holds the numbers of a vector of each kind that there is."""
    import pyarrow as pa

    text, whole, real = pa.string(), pa.int32(), pa.float64()
    types = {
        "id": text,
        "file": text,
        "path": text,
        "raw_path": pa.binary(),
        "kind": text,
        "part": whole,
        "page": whole,
        "line": whole,
        "start_s": real,
        "end_s": real,
        "title": text,
        "caption": text,
        "text": text,
        "words": text,
        "width": whole,
        "height": whole,
        "size": pa.int64(),
        "mtime_ns": pa.int64(),
        "hash": text,
        "thumbnail": pa.binary(),
    } | {name: pa.list_(pa.float32(), size) for name, size in sizes.items()}
    return pa.schema(list(types.items()))


def rows_of(found: Found, hash: str, mtime_ns: int, items: list[Item]) -> list[dict[str, Any]]:
    """The rows of one file."""
    common = of_file(found.path) | {"size": found.size, "mtime_ns": mtime_ns, "hash": hash}
    return [_row(part, item, common) for part, item in enumerate(items)]


def of_file(path: str) -> dict[str, Any]:
    """What a row takes from its file's path."""
    utf8 = shown(path)
    raw = os.fsencode(path)
    return {
        "file": file_key(path),
        "path": utf8,
        "raw_path": None if utf8.encode() == raw else raw,
        "title": _title(utf8),
    }


def words_of(row: dict[str, Any]) -> str:
    """What the full-text index reads of a row."""
    return "\n".join(part for part in (row["title"], row["caption"], row["text"]) if part)


def row_id(file: str, part: int) -> str:
    return f"{file}-{part}"


def path_of(row: dict[str, Any]) -> str:
    """The path as Python opens it."""
    raw = row.get("raw_path")
    return row["path"] if raw is None else os.fsdecode(raw)


def _row(part: int, item: Item, common: dict[str, Any]) -> dict[str, Any]:
    row = common | {
        "id": row_id(common["file"], part),
        "kind": item.kind,
        "part": part,
        "page": item.page,
        "line": item.line,
        "start_s": item.start,
        "end_s": item.end,
        "caption": item.caption,
        "text": item.text,
        "width": item.width,
        "height": item.height,
        "thumbnail": item.thumbnail,
    }
    for name, vector in zip(VECTORS, (item.image_vector, item.text_vector)):
        row[name] = None if vector is None else np.asarray(vector, np.float32)
    return row | {"words": words_of(row)}


def _title(path: str) -> str:
    """A file's name as words: "invoice_march-2" becomes "invoice march 2"."""
    stem = os.path.splitext(os.path.basename(path))[0]
    return " ".join(_APART.sub(" ", stem).split())
