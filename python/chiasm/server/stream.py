"""Server-sent events, ended when the client goes."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from chiasm.server.errors import as_api_error
from chiasm.server.jobs import ClientGone

DONE = b"data: [DONE]\n\n"


def event(data: Any) -> bytes:
    return b"data: " + json.dumps(data, ensure_ascii=False).encode() + b"\n\n"


async def until_gone(receive: Receive) -> None:
    """Returns when the client has closed the connection. The body must have been read."""
    while (await receive())["type"] != "http.disconnect":
        pass


def gone(request: Request) -> Any:
    """What `Jobs.run` watches."""
    return lambda: until_gone(request.receive)


class EventStream(Response):
    """The events as they come. When the client goes, `events` is closed where it stands. An error in
    their midst becomes an event: the status is out already."""

    media_type = "text/event-stream"

    def __init__(self, events: AsyncIterator[bytes]):
        super().__init__(headers={"cache-control": "no-cache", "x-accel-buffering": "no"})
        del self.headers["content-length"]
        self._events = events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send(
            {"type": "http.response.start", "status": 200, "headers": list(self.raw_headers)}
        )
        tasks = {
            asyncio.ensure_future(self._send_all(send)),
            asyncio.ensure_future(until_gone(receive)),
        }
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _send_all(self, send: Send) -> None:
        async with contextlib.aclosing(self._guarded()) as events:
            async for chunk in events:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _guarded(self) -> Any:
        async with contextlib.aclosing(self._events) as events:  # type: ignore[type-var]
            try:
                async for chunk in events:
                    yield chunk
            except Exception as e:
                yield event(as_api_error(e).body)


async def opened(events: AsyncIterator[bytes], request: Request) -> EventStream:
    """A stream whose first event is there: what fails before it is an error with a status.

    Raises:
        ClientGone: The client left before it.
    """
    first = asyncio.ensure_future(anext(events))
    watch = asyncio.ensure_future(until_gone(request.receive))
    try:
        await asyncio.wait({first, watch}, return_when=asyncio.FIRST_COMPLETED)
        if not first.done():
            raise ClientGone
        first.result()
    finally:
        watch.cancel()
        if not first.done():
            first.cancel()
        await asyncio.gather(first, watch, return_exceptions=True)

    async def all_of_them() -> AsyncIterator[bytes]:
        async with contextlib.aclosing(events) as rest:  # type: ignore[type-var]
            yield first.result()
            async for chunk in rest:
                yield chunk

    return EventStream(all_of_them())
