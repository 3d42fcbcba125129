"""Bars for people."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def listener(
    wanted: bool | Callable[[float], None], title: str
) -> Iterator[Callable[[float], None] | None]:
    """Who hears how far something got: a bar once it takes long, a function of the caller, or
    nobody."""
    if callable(wanted):
        yield wanted
    else:
        with progress(title, shown=bool(wanted), after=0.5) as show:
            yield show


@contextlib.contextmanager
def progress(
    title: str, shown: bool = True, after: float = 0.0
) -> Iterator[Callable[[float], None]]:
    """A bar on standard error that takes fractions, where that is a terminal. It appears `after` so
    many seconds: what is done sooner needs none."""
    if not shown or not sys.stderr.isatty():
        yield lambda fraction: None
        return
    begun = time.monotonic()
    with contextlib.ExitStack() as stack:
        update: Callable[[float], None] | None = None

        def show(fraction: float) -> None:
            nonlocal update
            if update is None and time.monotonic() - begun >= after:
                update = stack.enter_context(_bar(title))
            if update is not None:
                update(fraction)

        yield show


@contextlib.contextmanager
def _bar(title: str) -> Iterator[Callable[[float], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=1.0)
        yield lambda fraction: bar.update(task, completed=fraction)
