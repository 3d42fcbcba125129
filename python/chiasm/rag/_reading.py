"""Files read and decoded by several threads, handed to the one that embeds and writes."""

from __future__ import annotations

import dataclasses
import queue
import threading
from collections.abc import Callable, Iterator, Mapping

from chiasm.errors import Error, MediaError
from chiasm.rag._files import Found, content_hash, hash_of_file, read_whole
from chiasm.rag._items import Item
from chiasm.rag._store import Known

Reader = Callable[[Found, "bytes | None"], Iterator[Item]]
"""Items of a file from its bytes; None in place of them where a format is too large to hold."""

_LARGE = {"video"}
_MOST_ITEMS = 64
_MOST_PIXELS_HELD = 256_000_000
"""Bytes of decoded pictures that wait for being embedded; one alone may have more."""


@dataclasses.dataclass(frozen=True)
class Done:
    """A file has been read to its end, or as far as it could be."""

    found: Found
    hash: str = ""
    same: bool = False
    """These bytes are what the table has of it."""
    copy_of: str | None = None
    """The key of a file in the table with the same bytes."""
    problem: str | None = None


Event = tuple[Found, Item] | Done


class Reading:
    """Reads `files` on threads of its own. A file's items come in order, before its `Done`; those
    of several files come mixed. What waits is bounded in number and in bytes."""

    def __init__(
        self,
        files: list[Found],
        known: Mapping[str, Known],
        read: Reader,
        workers: int,
        fetch: Callable[[Found], bytes] = read_whole,
    ):
        self._files = iter(files)
        self._next_file = threading.Lock()
        self._known = known
        self._by_hash = {file.hash: key for key, file in known.items()}
        self._read = read
        self._fetch = fetch
        self._events: queue.Queue[Event | Exception] = queue.Queue(_MOST_ITEMS)
        self._left = len(files)
        self._stopped = threading.Event()
        self._held = 0
        self._room = threading.Condition()
        for _ in range(min(workers, len(files))):
            threading.Thread(target=self._work, daemon=True).start()

    def next(self, timeout: float | None) -> Event | None:
        """The next event, or None when there is none for so many seconds."""
        try:
            event = self._events.get(timeout=timeout)
        except queue.Empty:
            return None
        if isinstance(event, Exception):
            raise event
        if isinstance(event, Done):
            self._left -= 1
        return event

    @property
    def finished(self) -> bool:
        return self._left == 0

    def released(self, bytes: int) -> None:
        """So many bytes of pixels are held no longer."""
        with self._room:
            self._held -= bytes
            self._room.notify_all()

    def stop(self) -> None:
        self._stopped.set()
        with self._room:
            self._room.notify_all()

    def _work(self) -> None:
        try:
            while not self._stopped.is_set():
                with self._next_file:
                    found = next(self._files, None)
                if found is None:
                    return
                self._put(self._one(found))
        except Exception as e:  # a fault of ours: for the thread that can be heard
            self._put(e)

    def _one(self, found: Found) -> Done:
        hash = ""
        try:
            data = None if found.format in _LARGE else self._fetch(found)
            hash = hash_of_file(found.path) if data is None else content_hash(data)
            known = self._known.get(found.key)
            if known is not None and known.hash == hash:
                return Done(found, hash, same=True)
            if hash in self._by_hash:
                return Done(found, hash, copy_of=self._by_hash[hash])
            empty = True
            for item in self._read(found, data):
                empty = False
                self._take(item.held)
                self._put((found, item))
            if empty:
                raise MediaError("there is nothing in it")
        except Error as e:
            return Done(found, hash, problem=str(e))
        except MemoryError:
            return Done(found, hash, problem="does not fit in memory")
        return Done(found, hash)

    def _take(self, bytes: int) -> None:
        with self._room:
            self._room.wait_for(
                lambda: (
                    self._stopped.is_set()
                    or self._held == 0
                    or self._held + bytes <= _MOST_PIXELS_HELD
                )
            )
            self._held += bytes

    def _put(self, event: Event | Exception) -> None:
        while not self._stopped.is_set():
            try:
                self._events.put(event, timeout=0.2)
                return
            except queue.Full:
                continue
