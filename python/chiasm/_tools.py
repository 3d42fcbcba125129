"""Calls of functions in what a model says, in the three common ways of writing them.

Hermes and Qwen: `<tool_call>{"name": ..., "arguments": {...}}</tool_call>`, any number of them.
Llama 3: the whole answer is `{"name": ..., "parameters": {...}}`, perhaps after `<|python_tag|>`,
several apart by `;`.
Mistral: `[TOOL_CALLS]` and a JSON list, or a name, `[ARGS]` and a JSON object.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from typing import Any

HERMES, LLAMA, MISTRAL = "hermes", "llama", "mistral"
_OPEN, _CLOSE = "<tool_call>", "</tool_call>"
_PYTHON_TAG = "<|python_tag|>"
_CALLS, _ARGS = "[TOOL_CALLS]", "[ARGS]"
_decoder = json.JSONDecoder()


@dataclasses.dataclass(frozen=True)
class Call:
    """A function and its arguments, as JSON."""

    name: str
    arguments: str


def style_of(template: str) -> str | None:
    """How a model with this chat template writes calls; None where the template does not tell."""
    if _OPEN in template:
        return HERMES
    if _CALLS in template:
        return MISTRAL
    if _PYTHON_TAG in template or '"parameters"' in template:
        return LLAMA
    return None


def find_calls(style: str, text: str, names: Iterable[str]) -> tuple[str, list[Call]]:
    """The words of an answer and its calls, structure tokens included in `text`. What is no whole
    call of one of `names` stays among the words."""
    known = set(names)
    find = {HERMES: _hermes, LLAMA: _llama, MISTRAL: _mistral}[style]
    words, calls = find(text)
    if not calls or any(call.name not in known for call in calls):
        return text, []
    return words, calls


def may_begin(style: str, text: str) -> int:
    """Where in a text, as far as it is there, calls may begin: what stands before are words."""
    if style == HERMES:
        return _place(text, _OPEN)
    if style == MISTRAL:
        # The mark is a special token, which a stream does not show: then the list comes first.
        return 0 if text.lstrip()[:1] in ("", "[", "{") else _place(text, _CALLS)
    return 0 if text.lstrip()[:1] in ("", "{", "<") else len(text)


def _place(text: str, mark: str) -> int:
    at = text.find(mark)
    if at >= 0:
        return at
    for length in range(min(len(mark) - 1, len(text)), 0, -1):
        if text.endswith(mark[:length]):
            return len(text) - length
    return len(text)


def _hermes(text: str) -> tuple[str, list[Call]]:
    words, *rest = text.split(_OPEN)
    calls = []
    for part in rest:
        found, end = _object(part)
        call = None if found is None else _call(found, ("arguments", "parameters"))
        after = part[end:].strip()
        if call is None or after not in ("", _CLOSE):
            return text, []
        calls.append(call)
    return words, calls


def _llama(text: str) -> tuple[str, list[Call]]:
    rest = text.strip().removeprefix(_PYTHON_TAG)
    calls = []
    while rest.strip():
        found, end = _object(rest)
        call = None if found is None else _call(found, ("parameters", "arguments"))
        if call is None:
            return text, []
        calls.append(call)
        rest = rest[end:].strip().removeprefix(";")
    return "", calls


def _mistral(text: str) -> tuple[str, list[Call]]:
    words, mark, _ = text.partition(_CALLS)
    if not mark:
        return text, []
    calls = []
    for part in text.split(_CALLS)[1:]:
        name, args, body = part.partition(_ARGS)
        found, end = _object(body if args else part)
        if args and isinstance(found, dict):
            found = [{"name": name.strip(), "arguments": found}]
        for item in found if isinstance(found, list) else [None]:
            call = _call(item, ("arguments", "parameters"))
            if call is None:
                return text, []
            calls.append(call)
    return words, calls


def _object(text: str) -> tuple[Any, int]:
    """The JSON value at the beginning of a text, and where it ends; None where there is none."""
    begin = len(text) - len(text.lstrip())
    try:
        return _decoder.raw_decode(text, begin)
    except (ValueError, RecursionError):
        return None, begin


def _call(value: Any, keys: tuple[str, ...]) -> Call | None:
    if not isinstance(value, dict) or not isinstance(value.get("name"), str):
        return None
    arguments: Any = next((value[key] for key in keys if key in value), {})
    if isinstance(arguments, str):  # JSON in JSON
        arguments = _object(arguments)[0]
    if not isinstance(arguments, dict):
        return None
    return Call(value["name"], json.dumps(arguments, ensure_ascii=False))
