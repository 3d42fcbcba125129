"""What a search finds."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

_RANK_OFFSET = 60
"""Cormack, Clarke and Büttcher, 2009, "Reciprocal rank fusion": the constant of their equation 1."""

Ranking = tuple[float, list[dict[str, Any]]]
"""What a ranking counts for, and its rows from best to worst."""


@dataclasses.dataclass(frozen=True)
class Hit:
    """An item that was found."""

    id: str
    path: str
    """The file. Bytes of its name that are no UTF-8 show as \\xNN; `file_path` opens it."""
    kind: str
    """picture, page, passage, speech or frame."""
    score: float
    """Orders one search's hits: the sum of weight / (60 + rank) over the rankings it stands in."""
    similarity: float | None
    """Cosine of its vector and the query's; None: found by words alone."""
    match: float | None
    """BM25 of the words shared with the query; None: found by its vector alone."""
    page: int | None
    line: int | None
    start_s: float | None
    end_s: float | None
    title: str
    caption: str
    text: str
    width: int | None
    height: int | None
    size: int
    """Bytes of the file."""
    hash: str
    file_path: str = dataclasses.field(repr=False, default="")

    @property
    def place(self) -> str:
        """Where in its file: "page 3", "line 12", "1:05", or empty."""
        if self.page is not None:
            return f"page {self.page}"
        if self.line is not None and self.line > 1:
            return f"line {self.line}"
        if self.start_s is not None:
            return _clock(self.start_s)
        return ""

    @property
    def name(self) -> str:
        """The file and where in it."""
        return f"{self.path}, {self.place}" if self.place else self.path

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        data = dataclasses.asdict(self)
        del data["file_path"]
        return data | {"place": self.place}


def fused(rankings: Iterable[Ranking], limit: int) -> list[dict[str, Any]]:
    """Rows of several rankings as one, by reciprocal ranks. Cosines of words with pictures and with
    texts lie in different ranges, and BM25 in another: ranks can be compared. Ties by id."""
    rows: dict[str, dict[str, Any]] = {}
    for weight, ranking in rankings:
        for rank, row in enumerate(ranking, 1):
            kept = rows.setdefault(row["id"], row | {"score": 0.0})
            kept["score"] += weight / (_RANK_OFFSET + rank)
            for name in ("similarity", "match"):
                if name in row:
                    kept[name] = row[name]
    return sorted(rows.values(), key=lambda row: (-row["score"], row["id"]))[:limit]


def hit_of(row: dict[str, Any], file_path: str) -> Hit:
    names = {field.name for field in dataclasses.fields(Hit)} - {"similarity", "match", "file_path"}
    return Hit(
        **{name: row[name] for name in names},
        similarity=row.get("similarity"),
        match=row.get("match"),
        file_path=file_path,
    )


def _clock(seconds: float) -> str:
    whole = int(seconds)
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02}"
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"
