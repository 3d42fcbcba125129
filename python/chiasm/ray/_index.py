"""`chiasm.ray.index`: `chiasm.rag.Index.add` with many machines that read and embed."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from chiasm import _load
from chiasm.errors import ModelError
from chiasm.rag import Index, Problem, Report
from chiasm.rag._files import Found
from chiasm.rag._making import Made, Making
from chiasm.rag._reading import Done
from chiasm.rag._settings import Settings
from chiasm.rag._spaces import Spaces, fingerprint, model_name
from chiasm.rag._store import APPROXIMATE_ABOVE, Known
from chiasm.ray._cluster import Crew, crew_of, each, ray_module
from chiasm.ray._jobs import Files, listed
from chiasm.ray._places import Fetch, Places


def index(
    files: Files,
    db: str | os.PathLike[str],
    *,
    model: str | os.PathLike[str] | None = None,
    text_model: str | os.PathLike[str] | None = None,
    captioner: str | os.PathLike[str] | bool = False,
    speech: str | os.PathLike[str] | None = None,
    dtype: str = "auto",
    quantize: str | None = None,
    offline: bool = False,
    workers: int | None = None,
    cpus: int | None = None,
    batch: int = 16,
    filesystem: Any = None,
    on_problem: Callable[[Problem], None] | None = None,
    progress: bool = True,
    approximate_above: int = APPROXIMATE_ABOVE,
) -> Report:
    """Indexes files on a Ray cluster: workers read, embed and caption, this process writes. The
    index is the one that `chiasm.rag.Index(db).add(files)` makes, and each goes on where the other
    was.

    Args:
        files, workers, cpus, batch, filesystem, on_problem, progress: As for `chiasm.ray.caption`.
            A file of object storage is known by its URI; hits on it show thumbnails.
        db: The index, a folder of this machine, made by the first run.
        model, text_model, dtype, quantize, offline: As for `chiasm.rag.Index`. This process loads
            the embedders too.
        captioner: Describes pictures: a model as for `chiasm.load`; True: the bundled one.
        speech: A model that transcribes sounds, by name.
        approximate_above: As for `Index.add`.

    Raises:
        RequestError: Ray or LanceDB is missing, a place is, the index was made with another model,
            another process writes into it, or the cluster has no room for a worker.
        ModelError: A model cannot be loaded on a node.
    """
    crew = crew_of(workers, cpus)
    shared: dict[str, Any] = {"offline": offline}
    opened = Index(db, model=model, text_model=text_model, dtype=dtype, quantize=quantize, **shared)
    describes = None if captioner in (True, False) else model_name(captioner)  # type: ignore[arg-type]
    make = _Cluster(crew, batch, progress)

    def listing(complain: Callable[[str, str], None]) -> Places:
        places = Places(listed(files), filesystem, complain)
        assert opened._settings is not None
        make.open = OpenMaking(
            opened._settings,
            places.fetch(),
            captioner=describes,
            captions=captioner is not False,
            speech=model_name(speech),
            load=shared,
        )
        return places

    return opened._add(
        listing,
        make,
        hears=speech is not None,
        on_problem=on_problem,
        progress=False,
        approximate_above=approximate_above,
    )


class _Cluster:
    """A `Make` of many machines."""

    def __init__(self, crew: Crew, batch: int, progress: bool):
        self._crew, self._batch, self._progress = crew, batch, progress
        self.open: OpenMaking | None = None

    def __call__(self, files: list[Found], known: Mapping[str, Known]) -> Iterator[Made | None]:
        assert self.open is not None
        if not files:
            return
        open = dataclasses.replace(self.open, known=ray_module().put(dict(known)))
        for place, made in each(
            files, open, self._crew, batch=self._batch, progress=self._progress
        ):
            yield made or _lost(files[place])


@dataclasses.dataclass(frozen=True)
class OpenMaking:
    """Travels to a worker and loads an index's models there."""

    settings: Settings
    fetch: Fetch
    captioner: str | None
    captions: bool
    speech: str | None
    load: dict[str, Any]
    known: Any = None
    """A Ray reference to what the table has."""

    def __call__(self, threads: int) -> Part:
        load: dict[str, Any] = self.load | {"threads": threads}
        embedding = load | {
            "dtype": self.settings.dtype,
            "quantize": self.settings.quantize or None,
        }
        pictures = _load.load_embedder(self.settings.model, **embedding)
        texts = pictures
        if self.settings.text_model is not None:
            texts = _load.load_embedder(self.settings.text_model, **embedding)
        there = (fingerprint(pictures), fingerprint(texts))
        if there != (self.settings.fingerprint, self.settings.text_fingerprint):
            raise ModelError(
                f"{pictures.info.path}: holds other weights on one node of the cluster than the"
                " index was made with"
            )
        making = Making(
            Spaces(pictures, texts),
            captioner=_load.load(self.captioner, **load) if self.captions else None,
            speech=None if self.speech is None else _load.load(self.speech, **load),
            workers=threads,
            fetch=self.fetch,
        )
        return Part(making, ray_module().get(self.known))


class Part:
    """A worker's part of indexing."""

    def __init__(self, making: Making, known: dict[str, Known]):
        self._making, self._known = making, known

    def __call__(self, items: list[Found]) -> Iterator[tuple[int, Made]]:
        places = {found.key: place for place, found in enumerate(items)}
        for made in self._making(items, self._known):
            if made is not None:
                yield places[made.done.found.key], made


def _lost(found: Found) -> Made:
    return Made(Done(found), [], "the worker that had it died, more than once")
