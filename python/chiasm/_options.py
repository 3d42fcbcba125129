"""Settings of a call: types are checked here, ranges where they have a meaning."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from chiasm import _chiasm
from chiasm.errors import RequestError

_MAX_INT64 = 2**63 - 1
FALLBACK_TEMPERATURES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
"""Those of openai-whisper and faster-whisper."""


def integer(name: str, value: Any, low: int, high: int = _MAX_INT64) -> int:
    """`value` as an int in [low, high]; RequestError otherwise. A bool is no number here."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise RequestError(f"{name} is {value!r}, expected an integer")
    whole = int(value)
    if not low <= whole <= high:
        upper = "" if high == _MAX_INT64 and whole < low else f" and at most {high}"
        raise RequestError(f"{name} is {whole}, expected at least {low}{upper}")
    return whole


def number(name: str, value: Any) -> float:
    """`value` as a finite float; RequestError otherwise."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise RequestError(f"{name} is {value!r}, expected a number")
    try:
        out = float(value)
    except OverflowError:
        out = math.inf
    if not math.isfinite(out):
        raise RequestError(f"{name} is {value}, expected a finite number")
    return out


def utf8(name: str, value: Any) -> str:
    """`value` as text that can be encoded; RequestError otherwise."""
    if not isinstance(value, str):
        raise RequestError(f"{name} is of type {type(value).__name__}, expected a str")
    try:
        value.encode()
    except UnicodeEncodeError as e:
        raise RequestError(
            f"{name} is not UTF-8 text: a lone surrogate at character {e.start}"
        ) from None
    return str(value)


def device_words(value: Any) -> str:
    """Where a model is to run, a word or several, as the runtime takes them."""
    if isinstance(value, str):
        return utf8("device", value)
    if not isinstance(value, Iterable):
        raise RequestError(f"device is of type {type(value).__name__}, expected a str or several")
    words = [utf8(f"device[{i}]", word) for i, word in enumerate(value)]
    if not words:
        raise RequestError('device is an empty list; name one device at least, or "auto"')
    return ",".join(words)


def stop_texts(value: Any) -> list[str]:
    if value is None:
        return []
    if isinstance(value, str):
        value = (value,)
    if not isinstance(value, Iterable):
        raise RequestError(f"stop is of type {type(value).__name__}, expected a str or several")
    return [utf8("a stop text", s) for s in value]


def token_ids(name: str, value: Iterable[Any]) -> list[int]:
    return [integer(f"{name}[{i}]", id, 0, 2**31 - 1) for i, id in enumerate(value)]


def generate_options(
    *,
    max_tokens: int = 128,
    temperature: float = 0.0,
    top_k: int = 0,
    top_p: float = 1.0,
    min_p: float = 0.0,
    repetition_penalty: float = 1.0,
    seed: int | None = None,
    stop: Any = (),
    logprobs: int = 0,
    logit_bias: Mapping[int, float] | None = None,
    presence_penalty: float = 0.0,
    frequency_penalty: float = 0.0,
    constraint: Callable[[], Any] | None = None,
    adapter: str | None = None,
    priority: int = 0,
    ignore_eos: bool = False,
    context_overflow: str = "refuse",
    prompt_lookup: int = 0,
    draft_tokens: int | None = None,
    num_beams: int = 1,
    length_penalty: float = 1.0,
    early_stopping: bool | str = False,
    n: int = 1,
    **others: Any,
) -> _chiasm.GenerateOptions:
    """The settings of `Model.generate` as the runtime takes them."""
    for name in others:
        how = "; a draft model is loaded beside the model: chiasm.load(..., draft=...)"
        raise RequestError(
            f"{name} is not a setting of generate{how if name.startswith('draft') else ''}"
        )
    num_beams = integer("num_beams", num_beams, 1)
    if integer("n", n, 1) > 1 and num_beams == 1:
        raise RequestError(
            f"n is {n}: Model.choices draws several answers; n is for the best of num_beams"
        )
    if not isinstance(early_stopping, bool) and utf8("early_stopping", early_stopping) != "never":
        raise RequestError(f'early_stopping is {early_stopping!r}, expected True, False or "never"')
    return _chiasm.GenerateOptions(
        max_tokens=integer("max_tokens", max_tokens, 1),
        temperature=number("temperature", temperature),
        top_k=integer("top_k", top_k, 0),
        top_p=number("top_p", top_p),
        min_p=number("min_p", min_p),
        repetition_penalty=number("repetition_penalty", repetition_penalty),
        seed=None if seed is None else integer("seed", seed, 0, 2**64 - 1),
        stop=stop_texts(stop),
        logprobs=integer("logprobs", logprobs, 0, 2**31 - 1),
        logit_bias=_bias(logit_bias),
        presence_penalty=number("presence_penalty", presence_penalty),
        frequency_penalty=number("frequency_penalty", frequency_penalty),
        constraint=constraint,
        adapter="" if adapter is None else utf8("adapter", adapter),
        priority=integer("priority", priority, -(2**31), 2**31 - 1),
        ignore_eos=bool(ignore_eos),
        slide=_slides(context_overflow),
        lookup=integer("prompt_lookup", prompt_lookup, 0, 64),
        draft_tokens=None if draft_tokens is None else integer("draft_tokens", draft_tokens, 0, 32),
        num_beams=num_beams,
        length_penalty=number("length_penalty", length_penalty),
        early_stopping=str(early_stopping),
        answers=n,
    )


def _slides(context_overflow: str) -> bool:
    if context_overflow not in ("refuse", "slide"):
        raise RequestError(f"context_overflow is {context_overflow!r}, expected refuse or slide")
    return context_overflow == "slide"


def transcribe_options(
    *,
    language: str = "",
    translate: bool = False,
    timestamps: bool = True,
    temperatures: Any = 0.0,
    compression_ratio_threshold: float | None = 1.35,
    logprob_threshold: float = -1.0,
    no_speech_threshold: float = 0.6,
    seed: int = 0,
    adapter: str | None = None,
    padding: str = "silence",
) -> _chiasm.TranscribeOptions:
    """The settings of `Model.transcribe` as the runtime takes them."""
    if padding not in ("silence", "zeros"):
        raise RequestError(f'padding is "{padding}", expected "silence" or "zeros"')
    if isinstance(temperatures, numbers.Real):
        temperatures = (temperatures,)
    if isinstance(temperatures, str) or not isinstance(temperatures, Iterable):
        raise RequestError(f"temperatures is {temperatures!r}, expected a number or several")
    packed = compression_ratio_threshold
    return _chiasm.TranscribeOptions(
        language=language,
        translate=translate,
        timestamps=timestamps,
        temperatures=[number(f"temperatures[{i}]", t) for i, t in enumerate(temperatures)],
        compression_threshold=0
        if packed is None
        else number("compression_ratio_threshold", packed),
        logprob_threshold=number("logprob_threshold", logprob_threshold),
        no_speech_threshold=number("no_speech_threshold", no_speech_threshold),
        seed=integer("seed", seed, 0, 2**64 - 1),
        adapter="" if adapter is None else utf8("adapter", adapter),
        pad_with_zeros=padding == "zeros",
    )


def _bias(values: Any) -> list[tuple[int, float]]:
    if values is None:
        return []
    if not isinstance(values, Mapping):
        raise RequestError("logit_bias: expected a dict from token ids to numbers")
    return [
        (integer("logit_bias: a token id", id, 0, 2**31 - 1), number(f"logit_bias[{id}]", value))
        for id, value in values.items()
    ]
