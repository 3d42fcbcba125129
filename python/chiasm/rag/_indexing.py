"""One run of indexing: what is new or changed is made and written."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import time
from collections.abc import Callable
from typing import Any

from chiasm.rag._files import Found, Listing, shown, trusted_time
from chiasm.rag._interrupt import unbroken
from chiasm.rag._making import Made, Make
from chiasm.rag._schema import rows_of
from chiasm.rag._store import Known, Store

_COMMIT_ROWS = 512
_COMMIT_SECONDS = 5.0
"""Lost at most when the process dies; each commit takes some 20 ms and leaves a file to compact."""


@dataclasses.dataclass(frozen=True)
class Problem:
    """A file or folder that was skipped, and why."""

    path: str
    what: str


@dataclasses.dataclass
class Report:
    """What a run did. Counts are of files, but for `items`."""

    added: int = 0
    changed: int = 0
    moved: int = 0
    unchanged: int = 0
    removed: int = 0
    items: int = 0
    """Rows written."""
    others: int = 0
    """Files of formats that are not indexed."""
    problems: list[Problem] = dataclasses.field(default_factory=list)
    seconds: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


class Indexing:
    """A run over folders. The caller holds the writer's lock."""

    def __init__(
        self,
        store: Store,
        make: Make,
        *,
        hears: bool,
        on_problem: Callable[[Problem], None] | None,
        progress: Callable[[float], None] | None,
        approximate_above: int,
    ):
        self._store, self._make = store, make
        self._hears = hears
        self._on_problem, self._progress = on_problem, progress
        self._approximate_above = approximate_above
        self._report = Report()
        self._known: dict[str, Known] = {}
        self._there: set[str] = set()
        self._rows: list[dict[str, Any]] = []
        self._replaced: list[str] = []
        self._times: dict[str, int] = {}
        self._committed = time.monotonic()

    def run(self, listing_of: Callable[[Callable[[str, str], None]], Listing]) -> Report:
        """`listing_of` makes the listing, which tells its problems to the function it is given."""
        begun = time.monotonic()
        listing = listing_of(self._complain)
        found = list(listing)
        self._there = {file.key for file in found}
        self._known = self._store.files()
        todo = [file for file in found if not self._settled(file)]
        try:
            self._consume(todo)
        except KeyboardInterrupt:
            self._commit()  # whole files: none of the work done is lost
            raise
        self._commit()
        self._store.touch(self._times)
        self._forget(listing)
        self._store.finish(self._approximate_above)
        self._report.others = listing.others
        self._report.seconds = time.monotonic() - begun
        return self._report

    def _settled(self, file: Found) -> bool:
        """Whether there is nothing to read: the table has it, or nothing here reads its format."""
        if file.format == "sound" and not self._hears:
            self._complain(file.path, "sound is indexed by its words: name a speech model")
            return True
        known = self._known.get(file.key)
        same = known is not None and (known.size, known.mtime_ns) == (file.size, file.mtime_ns)
        self._report.unchanged += same
        return same

    def _consume(self, todo: list[Found]) -> None:
        done = 0
        with contextlib.closing(self._make(todo, self._known)) as files:  # type: ignore[type-var]
            for made in files:
                if made is not None:
                    done += 1
                    self._settle(made)
                    if self._progress is not None:
                        self._progress(done / len(todo))
                late = time.monotonic() - self._committed > _COMMIT_SECONDS
                if len(self._rows) >= _COMMIT_ROWS or (late and self._rows):
                    self._commit()

    def _settle(self, made: Made) -> None:
        """Turns a file into rows."""
        done, found = made.done, made.done.found
        key = found.key
        if done.same:
            self._report.unchanged += 1
            self._times[key] = trusted_time(found)
            return
        if made.problem is not None:
            self._complain(found.path, made.problem)
            if key in self._known:  # what was there is gone from the file as well
                self._replaced.append(key)
            return
        if done.copy_of is not None:
            rows = self._store.copy(done.copy_of, found.path, found.size, trusted_time(found))
            source = self._known[done.copy_of].path
            moved = done.copy_of not in self._there and not os.path.lexists(source)
        else:
            rows = rows_of(found, done.hash, trusted_time(found), made.items)
            moved = False
        if key in self._known:
            self._replaced.append(key)
            self._report.changed += 1
        elif moved:
            self._report.moved += 1
        else:
            self._report.added += 1
        self._rows += rows

    def _commit(self) -> None:
        with unbroken():
            self._store.write(self._rows, self._replaced)
            self._report.items += len(self._rows)
            self._rows, self._replaced = [], []
        self._committed = time.monotonic()

    def _forget(self, listing: Listing) -> None:
        """Drops files that the listing would have come by, and did not. Those that were moved are no
        loss to report."""
        gone = [
            key
            for key, known in self._known.items()
            if key not in self._there and listing.covers(known.path)
        ]
        self._store.remove(gone)
        self._report.removed = max(len(gone) - self._report.moved, 0)

    def _complain(self, path: str, what: str) -> None:
        problem = Problem(shown(path), what)
        self._report.problems.append(problem)
        if self._on_problem is not None:
            self._on_problem(problem)

