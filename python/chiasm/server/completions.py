"""/v1/completions: a raw prompt goes on. The prompt is trusted, as a str is in `Model.generate`."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator
from typing import Any, Union, cast

from fastapi import APIRouter, Request
from starlette.responses import Response

from chiasm import _chiasm
from chiasm._model import Model
from chiasm._results import Result
from chiasm.server import schema
from chiasm.server.answers import Call, answer, sampling, token_name, totals
from chiasm.server.errors import ApiError
from chiasm.server.jobs import Receive
from chiasm.server.replies import reply
from chiasm.server.state import State, state_of
from chiasm.server.stream import DONE, event

router = APIRouter()
_DEFAULT_MAX_TOKENS = 16  # OpenAI's


@router.post("/v1/completions", response_model=None)
async def completions(body: schema.CompletionRequest, request: Request) -> Response:
    """Continues a text, or token ids."""
    return await reply(_Call(state_of(request), body), body.stream, request)


class _Call:
    def __init__(self, state: State, body: schema.CompletionRequest):
        self._state = state
        self._body = body
        self._model: Model = state.model("chat", body.model)
        self._settings = sampling(body)
        self._settings["adapter"] = state.adapter(body.model)
        if body.logprobs is not None:
            self._settings["logprobs"] = max(body.logprobs, 1)
        if body.echo:
            raise ApiError(400, "echo is not supported", param="echo")
        self._prompt = _one_prompt(body.prompt)
        self._head: dict[str, Any] = {
            "id": f"cmpl-{secrets.token_hex(12)}",
            "object": "text_completion",
            "created": int(time.time()),
            "model": body.model,
        }

    def work(self, receive: Receive, flag: _chiasm.CancelFlag) -> list[Result]:
        longest = self._body.max_tokens or _DEFAULT_MAX_TOKENS
        call = Call(self._settings, longest, self._body.n or 1)
        return answer(self._model, self._prompt, call, self._state.settings, receive, flag)

    def whole(self, results: list[Result], to_first: float | None) -> dict[str, Any]:
        choices = [self._choice(i, r.text, r) for i, r in enumerate(results)]
        return self._head | {"choices": choices} | totals(results, to_first)

    async def events(self) -> AsyncIterator[bytes]:
        job = self._state.jobs.submit(self.work)
        try:
            async for index, piece in job.pieces():
                yield event(self._head | {"choices": [self._choice(index, piece)]})
            results = job.done.result()
            self._state.metrics.answered(job, results)
            for i, result in enumerate(results):
                yield event(self._head | {"choices": [self._choice(i, "", result)]})
            options = self._body.stream_options
            if options is not None and options.include_usage:
                tail = totals(results, job.to_first)
                yield event(self._head | {"choices": []} | tail)
            yield DONE
        finally:
            job.cancel()

    def _choice(self, index: int, text: str, result: Result | None = None) -> dict[str, Any]:
        told = result is not None and self._body.logprobs is not None
        return {
            "index": index,
            "text": text,
            "logprobs": self._logprobs(cast(Result, result)) if told else None,
            "finish_reason": None if result is None else result.finish_reason,
        }

    def _logprobs(self, result: Result) -> dict[str, Any]:
        offsets, at = [], 0
        for token in result.logprobs:
            offsets.append(at)
            at += len(token.text)
        count = self._body.logprobs or 0
        return {
            "tokens": [token.text for token in result.logprobs],
            "token_logprobs": [token.logprob for token in result.logprobs],
            "top_logprobs": [
                {token_name(self._model, id): logprob for id, logprob in token.top[:count]}
                for token in result.logprobs
            ],
            "text_offset": offsets,
        }


def _one_prompt(
    prompt: Union[str, list[str], list[int], list[list[int]]],
) -> Union[str, list[int]]:
    one: Any = prompt
    if isinstance(prompt, list) and isinstance(prompt[0], (str, list)):
        if len(prompt) > 1:
            raise ApiError(400, "prompt: one prompt a request", param="prompt")
        one = prompt[0]
    if not one:
        raise ApiError(400, "prompt: is empty", param="prompt")
    return cast(Union[str, list[int]], one)
