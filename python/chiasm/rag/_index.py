"""`Index`: a folder of vectors and words of what was seen and read."""

from __future__ import annotations

import contextlib
import os
import pathlib
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from chiasm import _load
from chiasm._embedder import Embedder
from chiasm._media import Image
from chiasm._options import integer, utf8
from chiasm._progress import listener
from chiasm.errors import RequestError
from chiasm.rag._files import Listing, Walk, shown
from chiasm.rag._hits import Hit, Ranking, fused, hit_of
from chiasm.rag._indexing import Indexing, Problem, Report
from chiasm.rag._making import Make, Making
from chiasm.rag._schema import KINDS, path_of
from chiasm.rag._settings import Settings, read_settings, write_settings
from chiasm.rag._spaces import Spaces, fingerprint, model_name
from chiasm.rag._store import APPROXIMATE_ABOVE, Store

if TYPE_CHECKING:
    from chiasm._model import Model

_MODES = ("hybrid", "meaning", "words")
_DEPTH = 50
"""Rows of each ranking that are fused, at least."""
_MOST = 10_000


class Index:
    """Pictures, pages, passages, speech and frames of files, found by words or by a picture.

    >>> index = Index("my.lance")  # doctest: +SKIP
    >>> index.add("holiday/").added  # doctest: +SKIP
    >>> index.search("a red bicycle", limit=3)[0].path  # doctest: +SKIP

    Args:
        folder: Where the index is, or is to be made by the first `add`.
        model: Embeds pictures and words about them: a folder, hub id or loaded `chiasm.Embedder`.
            None: what the index was made with; for a new one the bundled model.
        text_model: Embeds texts, where another one does that better.
        dtype, quantize, threads, offline: As for `chiasm.load_embedder`; the first two are those of
            the index where it exists.

    Raises:
        RequestError: The folder holds no index that this version reads, or LanceDB is not installed.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        model: str | os.PathLike[str] | Embedder | None = None,
        text_model: str | os.PathLike[str] | Embedder | None = None,
        dtype: str = "auto",
        quantize: str | None = None,
        threads: int | None = None,
        offline: bool = False,
        progress: bool = False,
    ):
        self.folder = pathlib.Path(folder).absolute()
        self._settings = read_settings(self.folder)
        kept = self._settings
        if kept is not None:
            model = kept.model if model is None else model
            text_model = kept.text_model if text_model is None else text_model
            dtype = kept.dtype if dtype == "auto" else dtype
            quantize = kept.quantize or None if quantize is None else quantize
        elif self.folder.exists() and (not self.folder.is_dir() or any(self.folder.iterdir())):
            raise RequestError(f"{shown(str(self.folder))}: exists, and is no index")
        self._model, self._text_model = model, text_model
        self._load: dict[str, Any] = {
            "dtype": dtype,
            "quantize": quantize,
            "threads": threads,
            "offline": offline,
            "progress": progress,
        }
        self._loaded: Spaces | None = None
        self._opened: Store | None = None

    def __repr__(self) -> str:
        return f"<chiasm.rag.Index {self.folder}>"

    def __len__(self) -> int:
        """Items."""
        return 0 if self._settings is None else len(self._store())

    def add(
        self,
        *places: str | os.PathLike[str],
        captioner: Model | None = None,
        speech: Model | None = None,
        workers: int | None = None,
        on_problem: Callable[[Problem], None] | None = None,
        progress: bool | Callable[[float], None] = False,
        approximate_above: int = APPROXIMATE_ABOVE,
    ) -> Report:
        """Indexes files and folders: what is new or changed is read, what was moved is kept under its
        new path, what is gone is dropped. Interrupted at any point it goes on where it was.

        Args:
            places: Files, and folders with all that is in them. Hidden files are left out.
            captioner: Describes pictures, for the full-text index.
            speech: A model that transcribes; sounds are left out without one.
            workers: Threads that read and decode; None: one for each CPU.
            on_problem: Hears of each file that is skipped.
            progress: As for `chiasm.load`.
            approximate_above: Vectors from which on an approximate index is built.

        Raises:
            RequestError: A place is missing, another process is indexing, or the index was made with
                another model.
        """
        if not places:
            raise RequestError("nothing to index: name files or folders")
        count = os.cpu_count() or 1 if workers is None else integer("workers", workers, 1, 256)
        named = [os.fsdecode(place) for place in places]
        return self._add(
            lambda complain: Walk(named, complain),
            Making(self._spaces(), captioner=captioner, speech=speech, workers=count),
            hears=speech is not None,
            on_problem=on_problem,
            progress=progress,
            approximate_above=approximate_above,
        )

    def _add(
        self,
        listing_of: Callable[[Callable[[str, str], None]], Listing],
        make: Make,
        *,
        progress: bool | Callable[[float], None],
        **settings: Any,
    ) -> Report:
        """A run of `Indexing` that writes here."""
        self._keep_settings(self._spaces())
        store = self._store()
        with store.writing(), listener(progress, "indexing") as hear:
            return Indexing(store, make, progress=hear, **settings).run(listing_of)

    def search(
        self,
        query: str | None = None,
        *,
        image: Image | None = None,
        limit: int = 10,
        mode: str = "hybrid",
        kinds: Sequence[str] = (),
        where: str = "",
        exact: bool = False,
    ) -> list[Hit]:
        """What fits a query best, best first.

        Args:
            query: Words.
            image: A picture that those found should resemble; with words, both count.
            limit: Hits at most.
            mode: "meaning": by vectors; "words": by the full-text index; "hybrid": by both.
            kinds: Of picture, page, passage, speech and frame; empty: all.
            where: A filter in SQL over the columns of docs/retrieval.md, `width > 1000`.
            exact: Looks at every vector even where an approximate index is.

        Raises:
            RequestError: A setting is out of range, the filter cannot be read or nothing was indexed.
            MediaError: The picture cannot be read.
        """
        limit = integer("limit", limit, 1, _MOST)
        if mode not in _MODES:
            raise RequestError(f'mode is "{mode}", expected one of {", ".join(_MODES)}')
        if query is None and image is None:
            raise RequestError("nothing to search for: give words or a picture")
        filter = _filter(kinds, where)
        store = self._store()
        depth = max(_DEPTH, 2 * limit)
        rankings: list[Ranking] = []
        if query is not None and mode != "words":
            spaces = self._spaces()
            for name, vector in spaces.of_question(utf8("query", query)).items():
                rows = store.nearest(name, vector, depth, filter, exact)
                rankings.append((spaces.weight(name), rows))
        if query is not None and mode != "meaning":
            rankings.append((1.0, store.matching(utf8("query", query), depth, filter)))
        if image is not None:
            for name, vector in self._spaces().of_example(image).items():
                rankings.append((1.0, store.nearest(name, vector, depth, filter, exact)))
        return [hit_of(row, path_of(row)) for row in fused(rankings, limit)]

    def thumbnails(self, hits: Sequence[Hit]) -> dict[str, bytes]:
        """Small JPEGs of hits that are looked at, by `Hit.id`."""
        return self._store().thumbnails([hit.id for hit in hits])

    def items(self, *, where: str = "", columns: Sequence[str] | None = None) -> Iterator[dict[str, Any]]:
        """Rows as they are kept, in no particular order."""
        store = self._store()
        yield from store.rows(where) if columns is None else store.rows(where, columns=columns)

    def files(self) -> list[str]:
        """The paths of all files in the index."""
        return sorted(shown(file.path) for file in self._store().files().values())

    @property
    def embedders(self) -> Spaces:
        """The models of this index, loaded at first use."""
        return self._spaces()

    def _store(self) -> Store:
        if self._settings is None:
            raise RequestError(f"{shown(str(self.folder))}: no index here; chiasm index makes one")
        if self._opened is None:
            self._opened = Store(self.folder, self._settings.sizes)
        return self._opened

    def _spaces(self) -> Spaces:
        if self._loaded is None:
            pictures = self._embedder(self._model)
            texts = pictures if self._text_model is None else self._embedder(self._text_model)
            self._loaded = Spaces(pictures, texts)
            if self._settings is not None:
                self._check(self._settings, self._loaded)
        return self._loaded

    def _embedder(self, model: str | os.PathLike[str] | Embedder | None) -> Embedder:
        return model if isinstance(model, Embedder) else _load.load_embedder(model, **self._load)

    def _keep_settings(self, spaces: Spaces) -> None:
        if self._settings is not None:
            info = spaces.pictures.info
            wanted = (self._settings.dtype, self._settings.quantize)
            if (info.dtype, info.quantize) != wanted:
                raise RequestError(
                    f"{self.folder}: its vectors are of {' '.join(wanted).strip()} weights; load the"
                    " model so, or index into another folder"
                )
            return
        self._settings = Settings(
            model=_name(self._model),
            text_model=_name(self._text_model),
            dtype=spaces.pictures.info.dtype,
            quantize=spaces.pictures.info.quantize,
            fingerprint=fingerprint(spaces.pictures),
            text_fingerprint=fingerprint(spaces.texts),
            sizes=spaces.sizes,
        )
        write_settings(self.folder, self._settings)

    def _check(self, settings: Settings, spaces: Spaces) -> None:
        if (fingerprint(spaces.pictures), fingerprint(spaces.texts)) != (
            settings.fingerprint,
            settings.text_fingerprint,
        ):
            raise RequestError(
                f"{self.folder}: its vectors were made by other weights than"
                f" {spaces.pictures.info.path}; name those, or index anew into another folder"
            )


def _name(model: str | os.PathLike[str] | Embedder | None) -> str | None:
    return model_name(model.info.path if isinstance(model, Embedder) else model)


def _filter(kinds: Sequence[str], where: str) -> str:
    if isinstance(kinds, str):
        kinds = (kinds,)
    for kind in kinds:
        if kind not in KINDS:
            raise RequestError(f'kind is "{kind}", expected one of {", ".join(KINDS)}')
    parts = [f"({utf8('where', where)})"] if where.strip() else []
    if kinds:
        parts.append("kind IN ({})".format(", ".join(f"'{kind}'" for kind in kinds)))
    return " AND ".join(parts)
