"""From a request's work to its reply, whole or as events."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Protocol

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from chiasm import _chiasm
from chiasm._results import Result
from chiasm.server.jobs import Receive
from chiasm.server.state import state_of
from chiasm.server.stream import gone, opened


class Generation(Protocol):
    """What a route makes of a request for words."""

    def work(self, receive: Receive, flag: _chiasm.CancelFlag) -> list[Result]:
        """Runs on a job's thread."""

    def whole(self, results: list[Result], to_first: float | None) -> dict[str, Any]:
        """The reply in one piece; `to_first`: seconds until the first piece was there."""

    def events(self) -> AsyncIterator[bytes]:
        """The reply as server-sent events."""


async def reply(call: Generation, stream: bool | None, request: Request) -> Response:
    """Runs `call`, which is cancelled when the client goes."""
    if stream:
        return await opened(call.events(), request)
    state = state_of(request)
    job = await state.jobs.run(call.work, gone(request))
    results = job.done.result()
    state.metrics.answered(job, results)
    return JSONResponse(call.whole(results, job.to_first))
