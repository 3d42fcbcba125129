"""/v1/chat/completions."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from chiasm import _chiasm
from chiasm._model import Model
from chiasm._results import Result
from chiasm.server import schema
from chiasm.server.answers import answer, logprobs, sampling, timings, usage
from chiasm.server.errors import ApiError
from chiasm.server.jobs import Receive
from chiasm.server.prompts import read_messages
from chiasm.server.state import State, state_of
from chiasm.server.stream import DONE, event, gone, opened
from chiasm.server.text import Stripper

router = APIRouter()


@router.post("/v1/chat/completions", response_model=None)
async def chat_completions(body: schema.ChatRequest, request: Request) -> Response:
    """Answers messages of words and pictures."""
    state = state_of(request)
    call = _Call(state, body)
    if body.stream:
        return await opened(call.events(), request)
    job = await state.jobs.run(call.work, gone(request))
    results = job.done.result()
    state.metrics.answered(job, results)
    return JSONResponse(call.whole(results, job.to_first))


class _Call:
    """A request of this route: what runs, and what comes back."""

    def __init__(self, state: State, body: schema.ChatRequest):
        self._state = state
        self._body = body
        self._model: Model = state.model("chat", body.model)
        self._settings = sampling(body)
        if body.logprobs:
            self._settings["logprobs"] = max(body.top_logprobs or 0, 1)
        elif body.top_logprobs:
            raise ApiError(400, "top_logprobs needs logprobs", param="top_logprobs")
        _refuse_unbuilt(body)
        self._head: dict[str, Any] = {
            "id": f"chatcmpl-{secrets.token_hex(12)}",
            "object": "chat.completion",
            "created": int(time.time()),
            "model": body.model,
            "system_fingerprint": None,
        }

    def work(self, receive: Receive, flag: _chiasm.CancelFlag) -> list[Result]:
        messages = read_messages(self._body.messages, self._state.settings)
        longest = self._body.max_completion_tokens or self._body.max_tokens
        return answer(
            self._model, messages, longest, self._settings, self._state.settings, receive, flag
        )

    def whole(self, results: list[Result], to_first: float | None) -> dict[str, Any]:
        choices = [
            {
                "index": i,
                "message": {
                    "role": "assistant",
                    "content": result.text.strip(),
                    "refusal": None,
                },
                "logprobs": self._logprobs(result),
                "finish_reason": result.finish_reason,
            }
            for i, result in enumerate(results)
        ]
        return self._head | {
            "choices": choices,
            "usage": usage(results),
            "timings": timings(results, to_first),
        }

    async def events(self) -> AsyncIterator[bytes]:
        """Deltas as they come; log-probabilities in the last one."""
        job = self._state.jobs.submit(self.work)
        shown: dict[int, Stripper] = {}
        try:
            async for index, piece in job.pieces():
                if index not in shown:
                    shown[index] = Stripper()
                    yield self._chunk(index, {"role": "assistant", "content": ""})
                if text := shown[index].push(piece):
                    yield self._chunk(index, {"content": text})
            results = job.done.result()
            self._state.metrics.answered(job, results)
            for i, result in enumerate(results):
                delta = {} if i in shown else {"role": "assistant", "content": ""}
                yield self._chunk(i, delta, result)
            options = self._body.stream_options
            if options is not None and options.include_usage:
                tail = {"usage": usage(results), "timings": timings(results, job.to_first)}
                yield event(self._chunk_head() | {"choices": []} | tail)
            yield DONE
        finally:
            job.cancel()

    def _chunk_head(self) -> dict[str, Any]:
        return self._head | {"object": "chat.completion.chunk"}

    def _chunk(self, index: int, delta: dict[str, Any], result: Result | None = None) -> bytes:
        choice = {
            "index": index,
            "delta": delta,
            "logprobs": None if result is None else self._logprobs(result),
            "finish_reason": None if result is None else result.finish_reason,
        }
        return event(self._chunk_head() | {"choices": [choice]})

    def _logprobs(self, result: Result) -> dict[str, Any] | None:
        if not self._body.logprobs:
            return None
        return logprobs(self._model, result, self._body.top_logprobs or 0)


def _refuse_unbuilt(body: schema.ChatRequest) -> None:
    if body.tools and body.tool_choice != "none":
        raise ApiError(400, "tools are not supported yet by this version", param="tools")
    if body.response_format is not None and body.response_format.type != "text":
        raise ApiError(
            400,
            "response_format: only text is supported yet by this version",
            param="response_format",
        )
