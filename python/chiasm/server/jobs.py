"""Calls of the runtime on threads, their pieces and ends in the event loop.

The engine drives itself from whichever thread waits, and forms one batch of all of them: a request
needs a thread that waits, and no more than that.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Generic, TypeVar

from chiasm import _chiasm
from chiasm.server.errors import ApiError

T = TypeVar("T")
Receive = Callable[[Any], bool]
"""Takes a piece; False asks the runtime to stop."""
Work = Callable[[Receive, _chiasm.CancelFlag], T]


class Job(Generic[T]):
    """A call on its way."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.first: float | None = None
        """When the first piece came."""
        self._flag = _chiasm.CancelFlag()
        self._cancelled = False
        self._loop = asyncio.get_running_loop()
        self._pieces: asyncio.Queue[Any] = asyncio.Queue()
        self.done: asyncio.Future[T] = self._loop.create_future()
        self.seconds = 0.0
        """From begin to end."""

    @property
    def to_first(self) -> float | None:
        """Seconds until the first piece."""
        return None if self.first is None else self.first - self.began

    def cancel(self) -> None:
        self._cancelled = True
        self._flag.set()

    async def pieces(self) -> AsyncIterator[Any]:
        """What the call told so far and tells from now on; raises what it failed with."""
        while True:
            piece = await self._pieces.get()
            if piece is None:
                self.done.result()
                return
            yield piece

    def run(self, work: Work[T]) -> None:
        """On the job's thread."""
        result: Any = None
        error: BaseException | None = None
        try:
            result = work(self._receive, self._flag)
        except BaseException as e:  # for whoever awaits it
            error = e
        with contextlib.suppress(RuntimeError):  # the loop is gone: nobody waits
            self._loop.call_soon_threadsafe(self._finish, result, error)

    def _receive(self, piece: Any) -> bool:
        if self.first is None:
            self.first = time.monotonic()
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._pieces.put_nowait, piece)
        return not self._cancelled

    def _finish(self, result: T, error: BaseException | None) -> None:
        self.seconds = time.monotonic() - self.began
        if not self.done.done():
            if error is None:
                self.done.set_result(result)
            else:
                self.done.set_exception(error)
                self.done.exception()  # counts as seen, should nobody be left to await it
        self._pieces.put_nowait(None)


class Jobs:
    """The calls that run or wait; so many at most."""

    def __init__(self, limit: int):
        self.limit = limit
        self.active: set[Job[Any]] = set()
        self._threads = concurrent.futures.ThreadPoolExecutor(limit, "chiasm-request")

    def submit(self, work: Work[T]) -> Job[T]:
        """Starts a call. ApiError 429 when as many as may be are there already."""
        if len(self.active) >= self.limit:
            raise ApiError(
                429,
                f"{len(self.active)} requests run or wait, as many as the server takes at once "
                "(--max-requests); try again later",
                code="rate_limit_exceeded",
            )
        job: Job[T] = Job()
        self.active.add(job)
        job.done.add_done_callback(lambda _: self.active.discard(job))
        self._threads.submit(job.run, work)
        return job

    async def run(self, work: Work[T], gone: Callable[[], Awaitable[None]]) -> Job[T]:
        """A call to its end; it is cancelled when `gone` returns, which says that the client left."""
        job = self.submit(work)
        watch = asyncio.ensure_future(gone())
        try:
            both: set[asyncio.Future[Any]] = {job.done, watch}
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            if not job.done.done():
                raise ClientGone
            job.done.result()
            return job
        finally:
            job.cancel()
            watch.cancel()

    def cancel_all(self) -> None:
        for job in list(self.active):
            job.cancel()


class ClientGone(Exception):
    """The client closed the connection; nobody reads an answer."""
