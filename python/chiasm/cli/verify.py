"""`chiasm verify`: a table for people, one JSON object for machines. Exit code 1 where a check failed."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from chiasm.cli import options as o
from chiasm.cli.output import json_line

if TYPE_CHECKING:
    from chiasm import Report


def verify(
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="[MODEL]", help="Model folder, hub id or .gguf file; else the bundled model."
        ),
    ] = None,
    image: Annotated[
        list[str] | None,
        typer.Option("--image", help="A picture instead of the built-in ones; may be repeated."),
    ] = None,
    audio: Annotated[
        list[str] | None,
        typer.Option("--audio", help="A sound instead of the built-in one; may be repeated."),
    ] = None,
    prompt: Annotated[
        list[str] | None,
        typer.Option("--prompt", help="Words instead of the built-in ones; may be repeated."),
    ] = None,
    dtype: Annotated[
        str, typer.Option("--dtype", help="Weights: float32, bfloat16 or float16.")
    ] = "float32",
    tokens: Annotated[int, typer.Option("--tokens", min=1, help="Greedy tokens to compare.")] = 32,
    python: Annotated[
        str | None,
        typer.Option("--python", help="The Python that has torch and transformers; else this one."),
    ] = None,
    keep: Annotated[
        str | None, typer.Option("--keep", help="A new folder for what transformers saw.")
    ] = None,
    reference: Annotated[
        str | None, typer.Option("--reference", help="Such a folder: transformers is not run.")
    ] = None,
    json: o.Json = False,
    threads: o.Threads = None,
    revision: o.Revision = None,
    offline: o.Offline = False,
) -> None:
    """Prove a model on the weights in hand: run transformers beside Chiasm, compare every stage."""
    code = _run(
        model,
        json=json,
        images=image or [],
        audio=audio or [],
        prompts=prompt or [],
        dtype=dtype,
        tokens=tokens,
        threads=threads,
        python=python,
        reference=reference,
        keep=keep,
        revision=revision,
        offline=offline,
    )
    raise typer.Exit(code)


def _run(name: str | None, *, json: bool, **settings: Any) -> int:
    import chiasm

    with _steps(shown=not json) as step:
        report = chiasm.verify(name, step=step, **settings)
    if json:
        print(json_line(report.as_dict()))
    else:
        _show(report)
    return 0 if report.passed else 1


@contextlib.contextmanager
def _steps(shown: bool) -> Iterator[Callable[[str], None]]:
    """A line on a terminal's standard error that says what is being done."""
    if not shown or not sys.stderr.isatty():
        yield lambda what: None
        return
    from rich.console import Console
    from rich.markup import escape

    with Console(stderr=True).status("beginning") as status:
        yield lambda what: status.update(escape(what))


def _show(report: Report) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from chiasm._verify.checks import figure

    width = None if sys.stdout.isatty() else 130  # a file has no width of its own
    console = Console(highlight=False, soft_wrap=True, width=width)
    versions = ", ".join(f"{k} {v}" for k, v in report.versions.items())
    console.print(
        f"{report.model}: {report.family}, {report.dtype} beside {versions}", markup=False
    )
    table = Table()
    for title in ("of", "stage", "error", "bound", "", "note"):
        table.add_column(title, justify="right" if title in ("error", "bound") else "left")
    before = ""
    for check in report.checks:
        verdict = Text("pass", style="green") if check.passed else Text("FAIL", style="bold red")
        table.add_row(
            Text("" if check.of == before else check.of),
            Text(check.stage),
            figure(check.error),
            figure(check.bound),
            verdict,
            Text(check.note),
        )
        before = check.of
    console.print(table)
    failed = sum(not check.passed for check in report.checks)
    words = f"all {len(report.checks)} checks passed" if not failed else f"{failed} checks failed"
    console.print(words, markup=False)
