"""`chiasm.ray.caption`, `transcribe` and `embed`."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Union

from chiasm._hub import find_model
from chiasm._options import integer
from chiasm.errors import RequestError
from chiasm.rag._files import Found, shown
from chiasm.rag._indexing import Problem
from chiasm.rag._spaces import fingerprint_of, model_name
from chiasm.ray._cluster import Crew, crew_of, each, ray_module
from chiasm.ray._places import Places
from chiasm.ray._results import Results, file_row, writing
from chiasm.ray._tasks import Captioning, Embedding, OpenTask, Task, Told, Transcribing

Files = Union[str, "os.PathLike[str]", Sequence[Union[str, "os.PathLike[str]"]]]
_COMMIT_ROWS = 512
_COMMIT_SECONDS = 5.0
_NO_MATTER = ("token", "offline", "progress")
"""Settings of loading that do not change a result, and are not kept beside it."""


@dataclasses.dataclass
class Report:
    """What a run did. Counts are of files."""

    computed: int = 0
    """Results that are new."""
    known: int = 0
    """Read, and their content had a result already."""
    unchanged: int = 0
    """Not read: size and time are those of an earlier run."""
    others: int = 0
    """Of other formats."""
    problems: list[Problem] = dataclasses.field(default_factory=list)
    """Files without a result, and why; also those of earlier runs that have not changed."""
    seconds: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True)
class Options:
    """How a job runs; what it gives does not depend on it."""

    workers: int | None = None
    cpus: int | None = None
    batch: int = 16
    filesystem: Any = None
    on_problem: Callable[[Problem], None] | None = None
    progress: bool = True


def caption(
    files: Files,
    out: str | os.PathLike[str],
    *,
    model: str | os.PathLike[str] | None = None,
    question: str | None = None,
    load: Mapping[str, Any] | None = None,
    workers: int | None = None,
    cpus: int | None = None,
    batch: int = 16,
    filesystem: Any = None,
    on_problem: Callable[[Problem], None] | None = None,
    progress: bool = True,
    **settings: Any,
) -> Report:
    """Describes pictures on a Ray cluster. `chiasm.ray.results(out)` reads what came of it.

    A result belongs to a content, told by the SHA-256 of its bytes: run again, only what is new is
    computed, and a worker or node that is lost costs time alone. Interrupted, the next run goes on.

    Args:
        files: Folders, files and URIs that pyarrow reads (s3://..., gs://...). Every node must find
            local paths under the same name.
        out: A folder of this machine for the results, made by the first run.
        model: As for `chiasm.load`; every node must find it.
        question: Asked of each picture instead of what it shows.
        load: Settings of `chiasm.load`, without `threads`.
        workers: Processes, each with a model; None: as many as the cluster has CPUs for.
        cpus: CPUs of a worker, and its threads; None: as many as the smallest node has.
        batch: Files that are lost at most with a worker, where there are few.
        filesystem: A pyarrow or fsspec file system that `files` are paths of.
        on_problem: Hears of each file that gets no result.
        progress: Whether Ray Data shows its bars.
        settings: As for `Model.answers`.

    Raises:
        RequestError: Ray or LanceDB is missing, a place is, `out` has results of another model or
            other settings, or the cluster has no room for a worker.
        ModelError: The model cannot be loaded on a node.
    """
    settings |= {} if question is None else {"question": question}
    task = Captioning(model_name(model), dict(load or {}), settings)
    options = Options(workers, cpus, batch, filesystem, on_problem, progress)
    return _run(task, files, out, options)


def transcribe(
    files: Files,
    out: str | os.PathLike[str],
    *,
    model: str | os.PathLike[str],
    load: Mapping[str, Any] | None = None,
    workers: int | None = None,
    cpus: int | None = None,
    batch: int = 1,
    filesystem: Any = None,
    on_problem: Callable[[Problem], None] | None = None,
    progress: bool = True,
    **settings: Any,
) -> Report:
    """Writes down the speech of sounds on a Ray cluster. All as for `caption`; `settings` are those
    of `Model.transcribe`."""
    task = Transcribing(model_name(model), dict(load or {}), settings)
    options = Options(workers, cpus, batch, filesystem, on_problem, progress)
    return _run(task, files, out, options)


def embed(
    files: Files,
    out: str | os.PathLike[str],
    *,
    model: str | os.PathLike[str] | None = None,
    load: Mapping[str, Any] | None = None,
    workers: int | None = None,
    cpus: int | None = None,
    batch: int = 32,
    filesystem: Any = None,
    on_problem: Callable[[Problem], None] | None = None,
    progress: bool = True,
) -> Report:
    """Vectors of pictures, computed on a Ray cluster. All as for `caption`; `model` and `load` as for
    `chiasm.load_embedder`. For texts, and to search: `chiasm.ray.index`."""
    task = Embedding(model_name(model), dict(load or {}), {})
    options = Options(workers, cpus, batch, filesystem, on_problem, progress)
    return _run(task, files, out, options)


def _run(task: Task, files: Files, out: str | os.PathLike[str], options: Options) -> Report:
    if "threads" in task.load:
        raise RequestError("load: threads are those of cpus=, which Ray reserves")
    begun = time.monotonic()
    job = _Job(task, options)
    crew = crew_of(options.workers, options.cpus)
    places = Places(listed(files), options.filesystem, job.complain)
    found = list(places)
    mine = [file for file in found if file.format == task.format]
    fingerprint = _fingerprint(task)
    made_with = {
        "task": task.name,
        "fingerprint": fingerprint,
        "load": {k: v for k, v in task.load.items() if k not in _NO_MATTER},
        "settings": task.settings,
    }
    with writing(pathlib.Path(out).absolute(), made_with) as store:
        job.work(store, mine, places, fingerprint, crew)
    job.report.others = places.others + len(found) - len(mine)
    job.report.seconds = time.monotonic() - begun
    return job.report


class _Job:
    """One run: what workers tell becomes rows."""

    def __init__(self, task: Task, options: Options):
        self._task, self._options = task, options
        self.report = Report()
        self._items: list[dict[str, Any]] = []
        self._files: list[dict[str, Any]] = []
        self._stored: set[str] = set()
        self._committed = time.monotonic()

    def work(
        self, store: Results, found: list[Found], places: Places, fingerprint: str, crew: Crew
    ) -> None:
        self._stored = store.hashes()
        seen = store.files()
        todo = [file for file in found if not self._settled(file, seen.get(file.key))]
        open = OpenTask(
            self._task, fingerprint, places.fetch(), ray_module().put(frozenset(self._stored))
        )
        batch = integer("batch", self._options.batch, 1, _COMMIT_ROWS)
        try:
            made = each(todo, open, crew, batch=batch, progress=self._options.progress)
            for place, told in made:
                self._note(todo[place], told)
                late = time.monotonic() - self._committed > _COMMIT_SECONDS
                if len(self._files) >= _COMMIT_ROWS or late:
                    self._commit(store)
        finally:  # also when it is interrupted: none of the work done is lost
            self._commit(store)
        if todo:
            store.finish()

    def complain(self, path: str, what: str) -> None:
        problem = Problem(shown(path), what)
        self.report.problems.append(problem)
        if self._options.on_problem is not None:
            self._options.on_problem(problem)

    def _settled(self, file: Found, seen: Any) -> bool:
        if seen is None or not seen.is_still(file):
            return False
        if seen.error is not None:
            self.complain(file.path, seen.error)
            return True
        self.report.unchanged += seen.hash in self._stored
        return seen.hash in self._stored

    def _note(self, file: Found, told: Told | None) -> None:
        if told is None:
            told = Told(error="the worker that had it died, more than once")
        if told.error is not None:
            self.complain(file.path, told.error)
        elif told.made is not None and told.hash not in self._stored:
            self._items.append({"hash": told.hash, "size": told.size} | told.made)
            self._stored.add(str(told.hash))
            self.report.computed += 1
        else:
            self.report.known += 1
        self._files.append(file_row(file, told.hash, told.error))

    def _commit(self, store: Results) -> None:
        items, files = self._items, self._files
        self._items, self._files = [], []
        store.write(items, files)
        self._committed = time.monotonic()


def listed(files: Files) -> Sequence[str | os.PathLike[str]]:
    return [files] if isinstance(files, (str, os.PathLike)) else list(files)


def _fingerprint(task: Task) -> str:
    """Of the model as a node of the cluster has it: this machine may have none."""
    ray = ray_module()
    fetched = {k: task.load[k] for k in ("revision", "token", "offline") if k in task.load}
    asked = ray.remote(num_cpus=0)(_asked).remote(task.model, fetched)
    told: str | Exception = ray.get(asked)
    if isinstance(told, Exception):
        raise told
    return told


def _asked(model: str | None, fetched: dict[str, Any]) -> str | Exception:
    """On a node; an error is a result, since Ray would wrap what is raised."""
    try:
        return fingerprint_of(find_model(model, **fetched))
    except Exception as e:
        return e
