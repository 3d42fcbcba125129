"""`chiasm search`."""

from __future__ import annotations

import pathlib
from typing import Any, TextIO

from chiasm.cli.output import json_line, output, printable
from chiasm.rag import Hit, Index

_TEXT = 70
"""Characters of a hit's words in a table."""


def run(
    query: str | None,
    db: str,
    *,
    image: str | None,
    format: str,
    out: pathlib.Path | None,
    search: dict[str, Any],
    load: dict[str, Any],
) -> None:
    index = Index(db, **load)
    hits = index.search(query, image=image, **search)
    with output(out) as to:
        if format == "json":
            for hit in hits:
                to.write(json_line(hit.as_dict()) + "\n")
        elif format == "html":
            from chiasm.rag._page import page

            title = query if query is not None else f"like {pathlib.Path(str(image)).name}"
            to.write(page(title, hits, index.thumbnails(hits)))
        else:
            table(hits, to)


def table(hits: list[Hit], to: TextIO) -> None:
    """Rank, how well it fits, what it is, where it is, and its first words."""
    for rank, hit in enumerate(hits, 1):
        fit = "     " if hit.similarity is None else f"{hit.similarity:5.2f}"
        words = " ".join((hit.text or hit.caption).split())
        line = f"{rank:>3}  {fit}  {hit.kind:<7}  {' '.join(hit.name.split())}"
        if words:
            line += f"  {words[:_TEXT]}{'...' if len(words) > _TEXT else ''}"
        to.write(printable(line, to) + "\n")
