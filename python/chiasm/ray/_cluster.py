"""Work spread over a cluster: every item's result, whatever is lost on the way."""

from __future__ import annotations

import collections
import dataclasses
import gc
import itertools
import os
import pickle
import traceback
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from chiasm._options import integer
from chiasm.errors import Error, RequestError

_SHARES = 8
"""Tasks for each worker, where there are enough items: a lost or slow one costs an eighth."""
_MOST_ITEMS = 512
"""Of one task."""
_DEATHS = 2
"""Of workers that had nothing but this item, until it is given up."""
_MOST_DEATHS = 8
"""Items that kill their workers before a single one is done, until all is given up."""


class Work(Protocol):
    """What a worker does with items; one result each, in any order."""

    def __call__(self, items: list[Any]) -> Iterator[tuple[int, Any]]:
        """Places in `items`, and what was made of the item there."""


Open = Callable[[int], Work]
"""Loads a model with so many threads, on the worker. It travels there, and so must be picklable."""


@dataclasses.dataclass(frozen=True)
class Crew:
    """How many workers, each a process with a model of its own, and the CPUs of each."""

    workers: int
    cpus: int


def ray_module() -> Any:
    """Ray, connected to the cluster that the caller or RAY_ADDRESS names, else to one of this
    machine alone.

    Raises:
        RequestError: It is not installed.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is told to anybody
    try:
        import ray
        import ray.data
    except ImportError as e:
        raise RequestError(
            f'chiasm.ray needs Ray (the package {e.name} is missing): pip install "chiasm[ray]"'
        ) from e
    if not ray.is_initialized():
        ray.init()
    return ray


def crew_of(workers: int | None, cpus: int | None) -> Crew:
    """What was asked for, or one worker for each node with all its CPUs.

    Raises:
        RequestError: A number is out of range, or no node has so many CPUs.
    """
    nodes = _cpus_of_nodes()
    each = min(nodes, default=0) if cpus is None else integer("cpus", cpus, 1, 1024)
    room = sum(node // each for node in nodes) if each else 0
    if room == 0:
        raise RequestError(
            f"no node of the Ray cluster has {each or 'any'} CPUs; they have {nodes or 'none'}"
        )
    return Crew(room if workers is None else integer("workers", workers, 1, 10_000), each)


def each(
    items: Sequence[Any], open: Open, crew: Crew, *, batch: int = 1, progress: bool = True
) -> Iterator[tuple[int, Any]]:
    """For each of `items` its place and what a worker made of it; once, in no order. None: every worker
    that had it died, also those that had nothing else.

    Args:
        items: Small and picklable: they are held here until they are done.
        batch: Items of the smallest task; a task is done again as a whole when its worker is lost.
        progress: Whether Ray Data shows its bars.

    Raises:
        Error: A worker could not load its model, or failed in a way that no item explains.
        RequestError: No worker lives long enough for any item.
    """
    left = dict(enumerate(items))
    deaths: collections.Counter[int] = collections.Counter()
    stuck, any_made = False, False
    while left:
        alone = stuck or len(left) <= crew.workers
        tried = dict(itertools.islice(left.items(), crew.workers)) if alone else dict(left)
        run = _Round(tried, open, crew, batch, alone)
        before = len(left)
        for number, made in run.results(progress):
            any_made = True
            if number in left:  # a task that was done twice tells twice
                del left[number]
                yield number, made
        if not any_made and (run.never_began or len(deaths) > _MOST_DEATHS):
            raise RequestError(f"every worker of the Ray cluster dies: {run.why}")
        stuck = len(left) == before and not alone
        for number in [n for n in tried if alone and n in left]:
            item = left.pop(number)
            deaths[number] += 1
            if deaths[number] == _DEATHS:
                yield number, None
            else:
                left[number] = item  # behind all others
        batch = 1


class _Round:
    """One run of Ray Data over `items`. What lost workers had is missing from it.

    Nothing is started or tried again inside: Ray would wait, for ever on a cluster that has shrunk,
    until there is room for a lost worker, and repeat without end an item that kills its worker. Once
    as many tasks are lost as there are workers, so that all of them may be gone, the run ends.
    """

    def __init__(
        self, items: dict[int, Any], open: Open, crew: Crew, batch: int, alone: bool
    ):
        self._items, self._open, self._cpus = items, open, crew.cpus
        room = sum(node // crew.cpus for node in _cpus_of_nodes())
        if room == 0:
            raise RequestError(f"no node is left in the Ray cluster that has {crew.cpus} CPUs")
        self._workers = min(crew.workers, room, len(items))
        share = max(-(-len(items) // (self._workers * _SHARES)), batch)
        self._share = 1 if alone else min(share, _MOST_ITEMS)
        self._ahead = 1 if alone else 2
        self.why = ""
        """Why it ended early."""

    def results(self, progress: bool) -> Iterator[tuple[int, Any]]:
        ray = ray_module()
        rows = [{"number": n, "item": pickle.dumps(item)} for n, item in self._items.items()]
        made = ray.data.from_items(
            rows, override_num_blocks=-(-len(rows) // self._share)
        ).map_batches(
            Worker,
            fn_constructor_args=(self._open, self._cpus),
            batch_size=None,
            batch_format="pyarrow",
            compute=ray.data.ActorPoolStrategy(
                size=self._workers, max_tasks_in_flight_per_actor=self._ahead
            ),
            num_cpus=self._cpus,
            max_restarts=0,
        )
        made.context.enable_progress_bars = progress
        made.context.max_errored_blocks = self._workers - 1
        try:
            for table in made.iter_batches(batch_size=None, batch_format="pyarrow"):
                for row in table.to_pylist():
                    told = pickle.loads(row["made"])
                    if isinstance(told, Broken):
                        raise told.error()
                    yield row["number"], told
        except ray.exceptions.RayError as e:
            self.why = " ".join(str(e).split())[:500]
        # What the error holds on to, by its frames and in circles, is the run and so its workers, which
        # live and keep their CPUs from the next one for as long as somebody does.
        del made
        gc.collect()

    @property
    def never_began(self) -> bool:
        """Whether the class of the workers could not be made on a node, as where Chiasm is missing."""
        return "creation task" in self.why


def _cpus_of_nodes() -> list[int]:
    nodes = ray_module().nodes()
    cpus = [int(node["Resources"].get("CPU", 0)) for node in nodes if node["Alive"]]
    return [count for count in cpus if count]


@dataclasses.dataclass(frozen=True)
class Broken:
    """Why a worker gives nothing."""

    kind: type[Exception] | None
    """An error of Chiasm; None: a fault, with its traceback as words."""
    words: str

    @classmethod
    def of(cls, e: Exception) -> Broken:
        if isinstance(e, Error):
            return cls(type(e), str(e))
        return cls(None, "".join(traceback.format_exception(e)))

    def error(self) -> Exception:
        return (self.kind or RuntimeError)(self.words)


class Worker:
    """What runs in an actor of Ray Data. Its failures are results: Ray would start an actor whose
    model cannot be loaded again and again, and wrap the error in its own."""

    def __init__(self, open: Open, cpus: int):
        self._work: Work | Broken
        try:
            self._work = open(cpus)
        except Exception as e:
            self._work = Broken.of(e)

    def __call__(self, batch: Any) -> Iterator[Any]:
        numbers = batch.column("number").to_pylist()
        if isinstance(self._work, Broken):
            yield _row(numbers[0], self._work)
            return
        try:
            for place, made in self._work([pickle.loads(i) for i in batch.column("item").to_pylist()]):
                yield _row(numbers[place], made)
        except Exception as e:
            yield _row(numbers[0], Broken.of(e))


def _row(number: int, made: Any) -> Any:
    import pyarrow as pa

    return pa.table(
        {
            "number": pa.array([number], pa.int64()),
            "made": pa.array([pickle.dumps(made)], pa.large_binary()),
        }
    )
