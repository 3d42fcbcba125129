"""/v1/chat/completions."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from chiasm import _chiasm
from chiasm._model import Model
from chiasm._results import Result
from chiasm.server import schema
from chiasm.server.answers import Call, answer, logprobs, sampling, totals
from chiasm.server.calls import Reader, listed, tools_of
from chiasm.server.errors import ApiError
from chiasm.server.jobs import Receive
from chiasm.server.prompts import read_messages
from chiasm.server.replies import reply
from chiasm.server.state import State, state_of
from chiasm.server.stream import DONE, event

router = APIRouter()


@router.post("/v1/chat/completions", response_model=None)
async def chat_completions(body: schema.ChatRequest, request: Request) -> Response:
    """Answers messages of words and pictures."""
    return await reply(_Call(state_of(request), body), body.stream, request)


class _Call:
    """A request of this route: what runs, and what comes back."""

    def __init__(self, state: State, body: schema.ChatRequest):
        self._state = state
        self._body = body
        self._model: Model = state.model("chat", body.model)
        self._settings = sampling(body)
        self._settings["adapter"] = state.adapter(body.model)
        if body.logprobs:
            self._settings["logprobs"] = max(body.top_logprobs or 0, 1)
        elif body.top_logprobs:
            raise ApiError(400, "top_logprobs needs logprobs", param="top_logprobs")
        self._tools = tools_of(self._model, body)
        self._settings["json_schema"] = self._tools.schema or _form(body.response_format)
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
        call = Call(self._settings, longest, self._body.n or 1, self._tools.shown)
        return answer(self._model, messages, call, self._state.settings, receive, flag)

    def whole(self, results: list[Result], to_first: float | None) -> dict[str, Any]:
        choices = [self._choice(i, result) for i, result in enumerate(results)]
        return self._head | {"choices": choices} | totals(results, to_first)

    def _choice(self, index: int, result: Result) -> dict[str, Any]:
        words, calls = self._tools.read(result)
        message: dict[str, Any] = {"role": "assistant", "content": words.strip(), "refusal": None}
        if calls:
            message |= {"content": words.strip() or None, "tool_calls": listed(calls)}
        return {
            "index": index,
            "message": message,
            "logprobs": self._logprobs(result),
            "finish_reason": "tool_calls" if calls else result.finish_reason,
        }

    async def events(self) -> AsyncIterator[bytes]:
        """Deltas as they come; calls and log-probabilities in the last one."""
        job = self._state.jobs.submit(self.work)
        readers: dict[int, Reader] = {}
        try:
            async for index, piece in job.pieces():
                if index not in readers:
                    readers[index] = Reader(self._tools)
                    yield self._chunk(index, {"role": "assistant", "content": ""})
                if text := readers[index].push(piece):
                    yield self._chunk(index, {"content": text})
            results = job.done.result()
            self._state.metrics.answered(job, results)
            for i, result in enumerate(results):
                delta: dict[str, Any] = {}
                if i not in readers:
                    readers[i] = Reader(self._tools)
                    delta = {"role": "assistant", "content": ""}
                text, calls = readers[i].end(result)
                if text:
                    delta["content"] = delta.get("content", "") + text
                if calls:
                    delta["tool_calls"] = listed(calls, indexed=True)
                yield self._chunk(i, delta, result, bool(calls))
            options = self._body.stream_options
            if options is not None and options.include_usage:
                tail = totals(results, job.to_first)
                yield event(self._chunk_head() | {"choices": []} | tail)
            yield DONE
        finally:
            job.cancel()

    def _chunk_head(self) -> dict[str, Any]:
        return self._head | {"object": "chat.completion.chunk"}

    def _chunk(
        self, index: int, delta: dict[str, Any], result: Result | None = None, calls: bool = False
    ) -> bytes:
        finish = None if result is None else result.finish_reason
        choice = {
            "index": index,
            "delta": delta,
            "logprobs": None if result is None else self._logprobs(result),
            "finish_reason": "tool_calls" if calls else finish,
        }
        return event(self._chunk_head() | {"choices": [choice]})

    def _logprobs(self, result: Result) -> dict[str, Any] | None:
        if not self._body.logprobs:
            return None
        return logprobs(self._model, result, self._body.top_logprobs or 0)


def _form(wanted: schema.ResponseFormat | None) -> dict[str, Any] | None:
    """The JSON schema that an answer must keep to."""
    if wanted is None or wanted.type == "text":
        return None
    if wanted.type == "json_object":
        return {"type": "object"}
    if wanted.json_schema is None or wanted.json_schema.schema_ is None:
        raise ApiError(
            400, "response_format.json_schema.schema is missing", param="response_format"
        )
    return wanted.json_schema.schema_
