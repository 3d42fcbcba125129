"""`chiasm rag`."""

from __future__ import annotations

import pathlib
from typing import Any, TextIO

from chiasm.cli import options as o
from chiasm.cli.output import json_line, output, printable
from chiasm.rag import Answer, Index, ModelReranker, Retriever, answer


def run(
    question: str,
    db: str,
    *,
    model: str | None,
    style: str,
    rerank: bool,
    json: bool,
    out: pathlib.Path | None,
    retrieve: dict[str, Any],
    load: dict[str, Any],
    settings: dict[str, Any],
) -> None:
    index = Index(db, progress=True, threads=load["threads"], offline=load["offline"])
    len(index)
    loaded = o.load(model, **load)
    retriever = Retriever(index, rerank=ModelReranker(loaded) if rerank else None, **retrieve)
    told = answer(question, retriever, model=loaded, style=style, **settings)
    with output(out) as to:
        if json:
            to.write(json_line(told.as_dict()) + "\n")
        else:
            _write(told, to)


def _write(told: Answer, to: TextIO) -> None:
    to.write(printable(told.text, to) + "\n")
    if told.citations:
        to.write("\n")
    for source in told.citations:
        to.write(printable(f"[{source.number}] {' '.join(source.name.split())}", to) + "\n")
