"""The LanceDB table: opened, written by one process at a time, searched by any number."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import fcntl
import os
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from chiasm.errors import RequestError
from chiasm.rag._schema import PLAIN, TABLE, VECTORS, of_file, row_id, table_schema, words_of

APPROXIMATE_ABOVE = 20_000
"""Vectors from which on an approximate index is built: below, a search of all takes some 30 ms."""
_PROBES = 24
"""Partitions that an approximate search looks into."""
_REFINE = 4
"""Candidates for each result whose distance is then taken exactly."""


@dataclasses.dataclass(frozen=True)
class Known:
    """A file that is in the table."""

    path: str
    hash: str
    size: int
    mtime_ns: int
    """0 where the file had just been written when it was read, so that its time tells nothing."""


class Store:
    """The table in a folder. `sizes` as for `table_schema`."""

    def __init__(self, folder: pathlib.Path, sizes: dict[str, int]):
        self.folder = folder
        self._db = opened(folder)
        self.table = self._db.create_table(TABLE, schema=table_schema(sizes), exist_ok=True)
        self._vectors = [name for name in VECTORS if name in sizes]

    def __len__(self) -> int:
        return int(self.table.count_rows())

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Inside, no other process writes."""
        with one_writer(self.folder):
            self.table.checkout_latest()
            yield

    def files(self) -> dict[str, Known]:
        """The files in the table, by their key."""
        columns = ["file", "path", "raw_path", "hash", "size", "mtime_ns"]
        known = {}
        query = self.table.search().where("part = 0").select(columns)
        for batch in query.to_batches():
            for row in batch.to_pylist():
                raw = row["raw_path"]
                path = row["path"] if raw is None else os.fsdecode(raw)
                known[row["file"]] = Known(path, row["hash"], row["size"], row["mtime_ns"])
        return known

    def write(self, rows: list[dict[str, Any]], replaced: Sequence[str] = ()) -> None:
        """Adds whole files, and with the same commit drops what was there of `replaced` files."""
        if not rows:
            self.remove(replaced)
            return
        data = self._arrow(rows)
        if not replaced:
            self.table.add(data)
            return
        (
            self.table.merge_insert("id")
            .when_matched_update_all()
            .when_not_matched_insert_all()
            .when_not_matched_by_source_delete(_of_files(replaced))
            .execute(data, on_bad_vectors="null")  # passages have no picture, and so on
        )

    def remove(self, files: Sequence[str]) -> None:
        for first in range(0, len(files), 500):
            self.table.delete(_of_files(files[first : first + 500]))

    def copy(self, source: str, path: str, size: int, mtime_ns: int) -> list[dict[str, Any]]:
        """The rows of a file that has the same bytes under another path."""
        rows = self.table.search().where(_of_files([source])).to_arrow().to_pylist()
        copied = []
        for row in sorted(rows, key=lambda row: row["part"]):
            row |= of_file(path) | {"size": size, "mtime_ns": mtime_ns}
            row |= {"id": row_id(row["file"], row["part"]), "words": words_of(row)}
            copied.append(row)
        return copied

    def touch(self, times: dict[str, int]) -> None:
        """Files, by key, that have other times and the same bytes; told by their first rows."""
        import pyarrow as pa

        if not times:
            return
        ids = [row_id(file, 0) for file in times]
        data = pa.table({"id": ids, "mtime_ns": pa.array(times.values(), pa.int64())})
        self.table.merge_insert("id").when_matched_update_all().execute(data)

    def finish(self, approximate_above: int = APPROXIMATE_ABOVE) -> None:
        """Builds the indices that are due and brings the others up to date."""
        from lancedb.index import FTS, IvfSq

        if len(self) == 0:
            return
        there = {column for index in self.table.list_indices() for column in index.columns}
        if "words" not in there:
            self.table.create_index("words", config=FTS(base_tokenizer="icu"))
        for name in self._vectors:
            count = self.table.count_rows(f"{name} IS NOT NULL")
            if name not in there and count > approximate_above:
                partitions = max(int(count**0.5), 1)
                config = IvfSq(distance_type="cosine", num_partitions=partitions)
                self.table.create_index(name, config=config)
        compact(self.table)

    def indices(self) -> list[str]:
        return sorted(column for index in self.table.list_indices() for column in index.columns)

    def nearest(
        self, name: str, vector: npt.NDArray[np.float32], limit: int, where: str, exact: bool
    ) -> list[dict[str, Any]]:
        """Rows by cosine similarity, highest first, each with `similarity`."""
        if name not in self._vectors:
            return []
        query = (
            self.table.search(vector, vector_column_name=name)
            .distance_type("cosine")
            .limit(limit)
            .select([*PLAIN, "_distance"])
        )
        if where:
            query = query.where(where)
        query = query.bypass_vector_index() if exact else query.nprobes(_PROBES).refine_factor(_REFINE)
        rows = self._run(query)  # those without such a vector have no distance
        return [
            row | {"similarity": 1.0 - row.pop("_distance")}
            for row in rows
            if row["_distance"] is not None
        ]

    def matching(self, words: str, limit: int, where: str) -> list[dict[str, Any]]:
        """Rows that share words with a text, best first, by BM25. None before `finish`."""
        if "words" not in self.indices():
            return []
        query = self.table.search(words, query_type="fts", fts_columns="words")
        if where:
            query = query.where(where)
        rows = self._run(query.limit(limit).select([*PLAIN, "_score"]))
        return [row | {"match": row.pop("_score")} for row in rows]

    def rows(self, where: str, limit: int | None = None, columns: Sequence[str] = PLAIN) -> Any:
        query = self.table.search().select(list(columns))
        if where:
            query = query.where(where)
        return self._run(query.limit(limit) if limit is not None else query)

    def thumbnails(self, ids: Sequence[str]) -> dict[str, bytes]:
        if not ids:
            return {}
        listed = ", ".join(f"'{id}'" for id in ids)
        rows = self.rows(f"id IN ({listed})", columns=["id", "thumbnail"])
        return {row["id"]: row["thumbnail"] for row in rows if row["thumbnail"]}

    def _arrow(self, rows: list[dict[str, Any]]) -> Any:
        import pyarrow as pa

        return pa.Table.from_pylist(rows, schema=self.table.schema)

    def _run(self, query: Any) -> list[dict[str, Any]]:
        try:
            rows: list[dict[str, Any]] = query.to_arrow().to_pylist()
        except (RuntimeError, ValueError) as e:  # what LanceDB raises for a filter it cannot read
            raise RequestError(f"the search failed: {_first_line(e)}") from e
        return rows


@contextlib.contextmanager
def one_writer(folder: pathlib.Path) -> Iterator[None]:
    """Inside, no other process writes. The lock goes with the process, however that ends."""
    with open(folder / "writer.lock", "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise RequestError(
                f"{folder}: another process is writing into it; wait for that one"
            ) from None
        yield


def compact(table: Any) -> None:
    """Brings a table and its indices into order. What it replaces stays for an hour, for readers."""
    table.optimize(cleanup_older_than=datetime.timedelta(hours=1), delete_unverified=True)


def opened(folder: pathlib.Path) -> Any:
    """The LanceDB in a folder."""
    os.environ.setdefault("LANCE_LOG", "error")  # its warnings are of its own working, line by line
    try:
        import lancedb
    except ImportError as e:
        raise RequestError('an index needs LanceDB: pip install "chiasm[rag]"') from e
    return lancedb.connect(str(folder))


def _of_files(files: Sequence[str]) -> str:
    return "file IN ({})".format(", ".join(f"'{file}'" for file in files))


def _first_line(e: Exception) -> str:
    lines = str(e).strip().splitlines()
    return lines[0] if lines else type(e).__name__
