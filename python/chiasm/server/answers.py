"""One call of the runtime for a request: checked against the context, then run."""

from __future__ import annotations

import dataclasses
from typing import Any

from chiasm import _chiasm
from chiasm._model import Model
from chiasm._options import token_ids
from chiasm._requests import Prompt
from chiasm._results import Result, result_of
from chiasm.server import schema
from chiasm.server.errors import ApiError
from chiasm.server.jobs import Receive
from chiasm.server.settings import Settings


@dataclasses.dataclass(frozen=True)
class Call:
    """What a request asks of the runtime besides its prompt."""

    settings: dict[str, Any]
    max_tokens: int | None
    n: int = 1
    tools: list[dict[str, Any]] | None = None


def sampling(body: schema.Sampling) -> dict[str, Any]:
    """The settings of `Model.generate` that a request asks for. OpenAI's default temperature is 1."""
    out: dict[str, Any] = {
        "temperature": 1.0 if body.temperature is None else body.temperature,
        "top_p": 1.0 if not body.top_p else body.top_p,
        "top_k": body.top_k or 0,
        "min_p": body.min_p or 0.0,
        "repetition_penalty": body.repetition_penalty or 1.0,
        "seed": None if body.seed is None else body.seed % 2**64,
        "stop": body.stop or (),
    }
    if body.top_p == 0:  # the likeliest token alone
        out |= {"top_p": 1.0, "top_k": 1}
    for name in ("presence_penalty", "frequency_penalty"):
        out[name] = getattr(body, name) or 0.0
    if body.logit_bias:
        out["logit_bias"] = _bias(body.logit_bias)
    if body.num_beams is not None and body.num_beams > 1:
        if body.stream:
            raise ApiError(
                400,
                "num_beams: a beam search knows its answer only at its end; leave stream out",
                param="num_beams",
            )
        penalty = 1.0 if body.length_penalty is None else body.length_penalty
        beams = {"num_beams": body.num_beams, "length_penalty": penalty}
        out |= {"temperature": body.temperature or 0.0} | beams
    return out


def answer(
    model: Model,
    prompt: Prompt | list[int],
    call: Call,
    server: Settings,
    receive: Receive,
    flag: _chiasm.CancelFlag,
) -> list[Result]:
    """The choices of a request. Runs on a job's thread; `receive` hears (choice, piece).

    Raises:
        ApiError: The prompt and the answer asked for are over the context.
    """
    options = model._options(**call.settings, max_tokens=1)
    request = _request(model, prompt, options, call.tools)
    plan = model._native.plan(request)
    room = model.info.max_context - plan.tokens
    wanted = call.max_tokens
    if wanted is None:
        wanted = min(server.default_max_tokens, room)
    if room < 1 or wanted > room:
        raise ApiError(
            400,
            f"the prompt has {model.info.max_context - room} tokens and the answer asked for "
            f"{max(wanted, 1)}, over the context of {model.info.max_context}; shorten the prompt or "
            "lower max_tokens",
            param="messages",
            code="context_length_exceeded",
        )
    options.max_tokens = wanted
    request.options = options
    needed = model._native.plan(request).activation_bytes
    if needed > server.memory_bytes:
        raise ApiError(
            400,
            f"the request needs {needed >> 20} MB besides keys and values, over the limit of "
            f"{server.memory_bytes >> 20} MB (--max-memory-mb); send fewer or smaller pictures",
        )

    def hear(choice: int, piece: str) -> bool:
        return receive((choice, piece))

    in_pieces = "num_beams" not in call.settings
    results = model._native.choices(request, call.n, hear if in_pieces else None, flag)
    return [result_of(r) for r in results]


def _request(
    model: Model,
    prompt: Prompt | list[int],
    options: _chiasm.GenerateOptions,
    tools: list[dict[str, Any]] | None,
) -> _chiasm.Request:
    if isinstance(prompt, list) and prompt and isinstance(prompt[0], int):
        return _chiasm.Request([], token_ids=token_ids("prompt", prompt), options=options)
    return model._request(prompt, None, options, tools=tools)  # type: ignore[arg-type]


def totals(results: list[Result], to_first: float | None) -> dict[str, Any]:
    """What ends a reply: its tokens and its seconds."""
    return {"usage": usage(results), "timings": timings(results, to_first)}


def usage(results: list[Result]) -> dict[str, Any]:
    """OpenAI's usage, with the tokens of pictures. Choices share their prompt."""
    u = results[0].usage
    completion = sum(result.usage.completion_tokens for result in results)
    return {
        "prompt_tokens": u.prompt_tokens,
        "completion_tokens": completion,
        "total_tokens": u.prompt_tokens + completion,
        "prompt_tokens_details": {
            "cached_tokens": u.cached_tokens,
            "image_tokens": u.image_tokens,
            "audio_tokens": u.audio_tokens,
        },
    }


def timings(results: list[Result], to_first: float | None) -> dict[str, float | None]:
    """Seconds of the stages, and until the first piece was there. Not of OpenAI's API."""
    return {"first": to_first, **dataclasses.asdict(results[0].timings)}


def logprobs(model: Model, result: Result, count: int) -> dict[str, Any]:
    """Log-probabilities as chat answers have them, with `count` rivals of each token."""

    def entry(text: str, logprob: float) -> dict[str, Any]:
        return {"token": text, "logprob": _json_number(logprob), "bytes": list(text.encode())}

    return {
        "content": [
            entry(token.text, token.logprob)
            | {"top_logprobs": [entry(token_name(model, i), p) for i, p in token.top[:count]]}
            for token in result.logprobs
        ],
        "refusal": None,
    }


def token_name(model: Model, id: int) -> str:
    return model._native.detokenize([id], False)


def _json_number(value: float) -> float:
    """JSON has no infinity: OpenAI's value for what cannot be."""
    return value if value > -9999.0 else -9999.0


def _bias(given: dict[str, float]) -> dict[int, float]:
    out = {}
    for key, value in given.items():
        if not key.isdecimal() or len(key) > 10 or not -100 <= value <= 100:
            raise ApiError(
                400,
                "logit_bias: expected token ids with values from -100 to 100",
                param="logit_bias",
            )
        out[int(key)] = value
    return out
