"""From files to what becomes their rows: read, embedded and captioned."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from chiasm.errors import Error
from chiasm.rag._files import Found, read_whole
from chiasm.rag._items import Item
from chiasm.rag._reading import Done, Reading
from chiasm.rag._readers import read_pdf, read_picture, read_sound, read_text
from chiasm.rag._spaces import Spaces
from chiasm.rag._store import Known
from chiasm.rag._video import read_video

if TYPE_CHECKING:
    from chiasm._model import Model

_BATCH = 32
"""Items embedded together: enough that threads share the work, few enough to hold."""
_PATIENCE = 0.02
"""Seconds to wait for a batch to fill."""
_CAPTION_TOKENS = 48
_CAPTIONED = ("picture", "frame")


@dataclasses.dataclass
class Made:
    """A file that has been read, with its items embedded."""

    done: Done
    items: list[Item]
    problem: str | None
    """Why it is left out."""


Make = Callable[[list[Found], Mapping[str, Known]], Iterator["Made | None"]]
"""Each of the files as it is ready, and None now and then while none is. The second argument is what
the table has."""


@dataclasses.dataclass
class _File:
    items: list[Item] = dataclasses.field(default_factory=list)
    waiting: int = 0
    """Items without their vectors."""
    done: Done | None = None
    problem: str | None = None


class Making:
    """A `Make` with the models of this process. `fetch` gives the bytes of a file."""

    def __init__(
        self,
        spaces: Spaces,
        *,
        captioner: Model | None,
        speech: Model | None,
        workers: int,
        fetch: Callable[[Found], bytes] = read_whole,
    ):
        self._spaces = spaces
        self._captioner, self._speech = captioner, speech
        self._workers = workers
        self._fetch = fetch
        self._files: dict[str, _File] = {}
        self._pending: list[tuple[Found, Item]] = []

    def __call__(self, files: list[Found], known: Mapping[str, Known]) -> Iterator[Made | None]:
        self._files, self._pending = {}, []
        reading = Reading(files, known, self._read, self._workers, self._fetch)
        try:
            while self._pending or not reading.finished:
                event = None
                if not reading.finished:
                    event = reading.next(_PATIENCE if self._pending else 0.5)
                if isinstance(event, Done):
                    self._files.setdefault(event.found.key, _File()).done = event
                    yield self._made(event.found.key)
                elif event is not None:
                    self._begin(*event)
                else:
                    yield None
                if self._pending and (event is None or len(self._pending) >= _BATCH):
                    for key in self._embed(reading):
                        yield self._made(key)
        finally:
            reading.stop()

    def _read(self, found: Found, data: bytes | None) -> Iterator[Item]:
        if data is None:
            return read_video(found.path)
        if found.format == "sound":
            return read_sound(data, self._speech)
        return {"picture": read_picture, "pdf": read_pdf, "text": read_text}[found.format](data)

    def _begin(self, found: Found, item: Item) -> None:
        file = self._files.setdefault(found.key, _File())
        file.items.append(item)
        file.waiting += 1
        self._pending.append((found, item))

    def _made(self, key: str) -> Made | None:
        """A file, once it is read and embedded."""
        file = self._files[key]
        if file.done is None or file.waiting:
            return None
        del self._files[key]
        return Made(file.done, file.items, file.done.problem or file.problem)

    def _embed(self, reading: Reading) -> set[str]:
        """Embeds what is pending; the files it is of."""
        batch, self._pending = self._pending, []
        looked_at = [(f, i) for f, i in batch if i.picture is not None]
        read = [(f, i) for f, i in batch if i.picture is None]
        vectors = self._spaces.of_pictures([i.picture for _, i in looked_at if i.picture is not None])
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
        return {found.key for found, _ in batch}

    def _caption(self, items: list[Item]) -> None:
        wanted = [i for i in items if i.kind in _CAPTIONED and i.picture is not None]
        if self._captioner is None or not wanted:
            return
        answers = self._captioner.answers(
            [i.picture for i in wanted if i.picture is not None], max_tokens=_CAPTION_TOKENS
        )
        for item, answer in zip(wanted, answers):
            item.caption = " ".join(answer.text.split())
