"""`chiasm index`."""

from __future__ import annotations

import sys
from typing import Any

from chiasm._load import load as load_model
from chiasm.cli.output import json_line, printable
from chiasm.rag import Index, Problem, Report


def run(
    places: list[str],
    db: str,
    *,
    captioner: str | None | bool,
    speech: str | None,
    workers: int | None,
    json: bool,
    load: dict[str, Any],
) -> None:
    """`captioner`: a model's name, None for the bundled one, False for none."""
    index = Index(db, **load)
    settings = {key: load[key] for key in ("threads", "offline", "progress")}
    describes = None
    if not isinstance(captioner, bool):
        describes = load_model(captioner, **settings)
    hears = None if speech is None else load_model(speech, **settings)
    report = index.add(
        *places,
        captioner=describes,
        speech=hears,
        workers=workers,
        on_problem=_tell,
        progress=True,
    )
    sys.stdout.write(json_line(report.as_dict()) + "\n" if json else _words(report, len(index)))


def _tell(problem: Problem) -> None:
    """A skipped file is no failure: a line for each, and the run goes on."""
    line = " ".join(f"{problem.path}: {problem.what}".split())
    sys.stderr.write(f"chiasm: skipped: {printable(line, sys.stderr)}\n")


def _words(report: Report, items: int) -> str:
    counts = {
        name: getattr(report, name)
        for name in ("added", "changed", "moved", "removed", "unchanged")
    }
    counts["skipped"] = len(report.problems)
    counts["of other formats"] = report.others
    files = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
    return f"files: {files or 'none'}; items: {items}; {report.seconds:.1f} s\n"
