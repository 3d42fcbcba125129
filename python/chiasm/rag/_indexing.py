"""One run of indexing: what is new or changed is read, embedded, captioned and written."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from chiasm.errors import Error
from chiasm.rag._files import Found, Walk, shown
from chiasm.rag._interrupt import unbroken
from chiasm.rag._items import Item
from chiasm.rag._reading import Done, Reading
from chiasm.rag._readers import read_pdf, read_picture, read_sound, read_text
from chiasm.rag._schema import rows_of
from chiasm.rag._spaces import Spaces
from chiasm.rag._store import Known, Store
from chiasm.rag._video import read_video

if TYPE_CHECKING:
    from chiasm._model import Model

_BATCH = 32
"""Items embedded together: enough that threads share the work, few enough to hold."""
_COMMIT_ROWS = 512
_COMMIT_SECONDS = 5.0
"""Lost at most when the process dies; each commit takes some 20 ms and leaves a file to compact."""
_PATIENCE = 0.02
"""Seconds to wait for a batch to fill."""
_FRESH_NS = 2_000_000_000
"""A file written so short a time ago could change once more within its clock's step."""
_CAPTION_TOKENS = 48
_CAPTIONED = ("picture", "frame")


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


@dataclasses.dataclass
class _File:
    items: list[Item] = dataclasses.field(default_factory=list)
    waiting: int = 0
    """Items without their vectors."""
    done: Done | None = None
    problem: str | None = None


class Indexing:
    """A run over folders. The caller holds the writer's lock."""

    def __init__(
        self,
        store: Store,
        spaces: Spaces,
        *,
        captioner: Model | None,
        speech: Model | None,
        workers: int,
        on_problem: Callable[[Problem], None] | None,
        progress: Callable[[float], None] | None,
        approximate_above: int,
    ):
        self._store, self._spaces = store, spaces
        self._captioner, self._speech = captioner, speech
        self._workers = workers
        self._on_problem, self._progress = on_problem, progress
        self._approximate_above = approximate_above
        self._report = Report()
        self._known: dict[str, Known] = {}
        self._files: dict[str, _File] = {}
        self._pending: list[tuple[Found, Item]] = []
        self._rows: list[dict[str, Any]] = []
        self._replaced: list[str] = []
        self._times: dict[str, int] = {}
        self._committed = time.monotonic()

    def run(self, places: list[str]) -> Report:
        begun = time.monotonic()
        walk = Walk(places, self._complain)
        found = list(walk)
        self._known = self._store.files()
        todo = [file for file in found if not self._settled(file)]
        reading = Reading(todo, self._known, self._read, self._workers)
        try:
            self._consume(reading, len(todo))
        except KeyboardInterrupt:
            self._commit()  # whole files: none of the work done is lost
            raise
        finally:
            reading.stop()
        self._commit()
        self._store.touch(self._times)
        self._forget(walk, {file.key for file in found})
        self._store.finish(self._approximate_above)
        self._report.others = walk.others
        self._report.seconds = time.monotonic() - begun
        return self._report

    def _settled(self, file: Found) -> bool:
        """Whether there is nothing to read: the table has it, or nothing here reads its format."""
        if file.format == "sound" and self._speech is None:
            self._complain(file.path, "sound is indexed by its words: name a speech model")
            return True
        known = self._known.get(file.key)
        same = known is not None and (known.size, known.mtime_ns) == (file.size, file.mtime_ns)
        self._report.unchanged += same
        return same

    def _read(self, found: Found, data: bytes | None) -> Iterator[Item]:
        if data is None:
            return read_video(found.path)
        if found.format == "sound":
            return read_sound(data, self._speech)
        return {"picture": read_picture, "pdf": read_pdf, "text": read_text}[found.format](data)

    def _consume(self, reading: Reading, total: int) -> None:
        done = 0
        while not (reading.finished and not self._pending):
            event = None
            if not reading.finished:
                event = reading.next(_PATIENCE if self._pending else 0.5)
            if isinstance(event, Done):
                done += 1
                self._end(event)
                if self._progress is not None:
                    self._progress(done / total)
            elif event is not None:
                self._begin(*event)
            if self._pending and (event is None or len(self._pending) >= _BATCH):
                self._embed(reading)
            late = time.monotonic() - self._committed > _COMMIT_SECONDS
            if len(self._rows) >= _COMMIT_ROWS or (late and self._rows):
                self._commit()

    def _begin(self, found: Found, item: Item) -> None:
        file = self._files.setdefault(found.key, _File())
        file.items.append(item)
        file.waiting += 1
        self._pending.append((found, item))

    def _embed(self, reading: Reading) -> None:
        batch, self._pending = self._pending, []
        looked_at = [(f, i) for f, i in batch if i.pixels is not None]
        read = [(f, i) for f, i in batch if i.pixels is None]
        vectors = self._spaces.of_pictures([i.pixels for _, i in looked_at if i.pixels is not None])
        for (found, item), vector in zip(looked_at, vectors):
            if isinstance(vector, Error):
                self._files[found.key].problem = str(vector)
            else:
                item.image_vector = vector
        for (found, item), vector in zip(read, self._spaces.of_passages([i.text for _, i in read])):
            if isinstance(vector, Error):
                self._files[found.key].problem = str(vector)
            else:
                item.text_vector = vector
        self._caption([i for _, i in looked_at if i.image_vector is not None])
        for found, item in batch:
            reading.released(item.held)
            item.released()
            self._files[found.key].waiting -= 1
        for key in {found.key for found, _ in batch}:
            self._settle(key)

    def _caption(self, items: list[Item]) -> None:
        wanted = [i for i in items if i.kind in _CAPTIONED and i.pixels is not None]
        if self._captioner is None or not wanted:
            return
        answers = self._captioner.answers(
            [i.pixels for i in wanted if i.pixels is not None], max_tokens=_CAPTION_TOKENS
        )
        for item, answer in zip(wanted, answers):
            item.caption = " ".join(answer.text.split())

    def _end(self, done: Done) -> None:
        key = done.found.key
        if done.same:
            self._report.unchanged += 1
            self._times[key] = _time(done.found)
            return
        self._files.setdefault(key, _File()).done = done
        self._settle(key)

    def _settle(self, key: str) -> None:
        """Turns a file that is read and embedded into rows."""
        file = self._files[key]
        if file.done is None or file.waiting:
            return
        del self._files[key]
        found = file.done.found
        problem = file.done.problem or file.problem
        if problem is not None:
            self._complain(found.path, problem)
            if key in self._known:  # what was there is gone from the file as well
                self._replaced.append(key)
            return
        if file.done.copy_of is not None:
            rows = self._store.copy(
                file.done.copy_of, found.path, found.size, _time(found)
            )
            moved = not os.path.lexists(self._known[file.done.copy_of].path)
        else:
            rows = rows_of(found, file.done.hash, _time(found), file.items)
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

    def _forget(self, walk: Walk, there: set[str]) -> None:
        """Drops files that a walk would have come by, and did not. Those that were moved are no
        loss to report."""
        gone = [
            key
            for key, known in self._known.items()
            if key not in there and walk.covers(known.path)
        ]
        self._store.remove(gone)
        self._report.removed = max(len(gone) - self._report.moved, 0)

    def _complain(self, path: str, what: str) -> None:
        problem = Problem(shown(path), what)
        self._report.problems.append(problem)
        if self._on_problem is not None:
            self._on_problem(problem)


def _time(found: Found) -> int:
    fresh = time.time_ns() - found.mtime_ns < _FRESH_NS
    return 0 if fresh else found.mtime_ns
