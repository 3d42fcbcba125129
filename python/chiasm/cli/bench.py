"""`chiasm bench`: tables for people, one JSON object for machines."""

from __future__ import annotations

import gc
import sys
from typing import Any

from chiasm._bench import Bench, Row, whole_numbers
from chiasm._progress import progress
from chiasm.cli.output import bytes_text, json_line

_LENGTHS = [128, 512, 1024]
_DEPTHS = [1, 512, 1024]


def run(
    name: str | None,
    *,
    json: bool,
    threads: str | None,
    lengths: str | None,
    depths: str | None,
    pictures: str | None,
    parallel: str | None,
    operators: bool,
    repeat: int,
    picture: str | None,
    load: dict[str, Any],
) -> None:
    counts: list[int | None] = [*whole_numbers("--threads", threads, [])] or [None]
    wanted = {
        "lengths": whole_numbers("--lengths", lengths, _LENGTHS),
        "depths": whole_numbers("--depths", depths, _DEPTHS),
        "pictures": whole_numbers("--pictures", pictures, []),
        "parallel": whole_numbers("--parallel", parallel, []),
    }
    runs = []
    with progress("measuring", shown=not json) as show:
        for i, count in enumerate(counts):
            bench = Bench(name, repeat, picture, threads=count, **load)
            rows = []
            for row in _rows(bench, wanted):
                rows.append(row)
                show((i + len(rows) / (len(rows) + 4)) / len(counts))
            times = bench.operators() if operators else []
            runs.append((_facts(bench), rows, times))
            del bench
            gc.collect()
    if json:
        print(
            json_line(
                [
                    {**facts, "rows": [row.as_dict() for row in rows], "operators": times}
                    for facts, rows, times in runs
                ]
            )
        )
    else:
        _show(runs)


def _rows(bench: Bench, wanted: dict[str, list[int]]) -> Any:
    yield bench.load()
    if bench.sees:
        yield from bench.picture()
    yield from bench.prefill(wanted["lengths"])
    yield from bench.decode(wanted["depths"])
    yield bench.answer()
    if bench.sees:
        yield from bench.pictures(wanted["pictures"])
    yield from bench.parallel(wanted["parallel"])


def _facts(bench: Bench) -> dict[str, Any]:
    info = bench.info
    return {
        "model": info.path,
        "family": info.family,
        "dtype": info.dtype,
        "quantize": info.quantize,
        "isa": info.isa,
        "threads": info.threads,
        "weight_bytes": info.weight_bytes,
        "limits": bench.limits,
        "peak_bytes": bench.memory.peak_bytes,
        "planned_bytes": bench.memory.planned_bytes,
    }


def _show(runs: list[tuple[dict[str, Any], list[Row], list[dict[str, Any]]]]) -> None:
    from rich.console import Console
    from rich.table import Table

    width = None if sys.stdout.isatty() else 120  # a file has no width of its own
    console = Console(highlight=False, soft_wrap=True, width=width)
    for facts, rows, times in runs:
        weights = (
            f"{facts['quantize']} and {facts['dtype']}" if facts["quantize"] else facts["dtype"]
        )
        console.print(
            f"{facts['model']}: {facts['family']}, {weights}, {facts['isa']}, "
            f"{facts['threads']} threads",
            markup=False,
        )
        limits = [
            f"{key} {value / 1e9:.0f} {'GB/s' if key == 'read' else 'GFLOP/s'}"
            for key, value in facts["limits"].items()
        ]
        console.print("limits of this machine: " + ", ".join(limits), markup=False)
        table = Table()
        for title in ("what", "time", "rate", "of the limit", "resident"):
            table.add_column(title, justify="left" if title == "what" else "right")
        for row in rows:
            share = "" if row.share is None else f"{100 * row.share:.0f} % {row.limit}"
            table.add_row(
                row.name,
                _time(row.seconds),
                f"{row.rate:.4g} {row.unit}/s",
                share,
                bytes_text(row.resident_bytes or 0),
            )
        console.print(table)
        peak, planned = facts["peak_bytes"], facts["planned_bytes"]
        console.print(
            f"peak memory of loading and one answer: {bytes_text(peak)}; planned: "
            f"{bytes_text(planned)} ({100 * peak / planned:.0f} %)",
            markup=False,
        )
        if times:
            console.print(_operator_table(times))
    if len(runs) > 1:
        console.print(_scaling(runs))


def _operator_table(times: list[dict[str, Any]]) -> Any:
    from rich.table import Table

    table = Table(title="operators of one answer")
    for title in ("stage", "operator", "calls", "time", "of the stage", "speed"):
        table.add_column(title, justify="left" if title in ("stage", "operator") else "right")
    for row in times:
        rate = row["operations_per_second"]
        speed = f"{rate / 1e9:.0f} GFLOP/s" if rate else ""
        table.add_row(
            row["stage"],
            row["operator"],
            str(row["calls"]),
            _time(row["seconds"]),
            f"{100 * row['share']:.1f} %",
            speed,
        )
    return table


def _scaling(runs: list[tuple[dict[str, Any], list[Row], list[dict[str, Any]]]]) -> Any:
    from rich.table import Table

    first = {row.name: row for row in runs[0][1]}
    table = Table(title=f"speed-up over {runs[0][0]['threads']} threads")
    table.add_column("what")
    for facts, _, _ in runs[1:]:
        table.add_column(f"{facts['threads']} threads", justify="right")
    for name, row in first.items():
        cells = []
        for _, rows, _ in runs[1:]:
            other = next((r for r in rows if r.name == name), None)
            cells.append("" if other is None else f"{row.seconds / other.seconds:.2f}")
        table.add_row(name, *cells)
    return table


def _time(seconds: float) -> str:
    if seconds >= 1:
        return f"{seconds:.2f} s"
    return f"{seconds * 1e3:.3g} ms" if seconds >= 1e-3 else f"{seconds * 1e6:.0f} us"
