"""Answers of a given form: JSON of a schema, a regular expression, one of several texts.

llguidance (the extra `chiasm[serve]`, or `pip install llguidance`) tells at each step which tokens
keep the answer within its form; the engine draws among those alone. So an answer is of its form
from the first token on, whatever the model would like to say, unless `max_tokens` cuts it off.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from chiasm._options import utf8
from chiasm.errors import RequestError

if TYPE_CHECKING:
    from chiasm import _chiasm

Mask = Callable[[list[int]], bytes]
"""From an answer's tokens so far to the bits of those that may follow."""

_MAX_DEPTH = 32
_MAX_CHARACTERS = 1 << 16
_MAX_CHOICES = 1024
# As Python's json writes it; free white space lets a small model write nothing else.
_LAYOUT = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}


def closed(schema: Any) -> Any:
    """A JSON schema whose objects hold the properties it names and no others, wherever it leaves that
    open: a model that may invent some goes on inventing. One that puts an object together out of
    several parts stays as it is, since each part must let those of the others be."""
    return schema if _composed(schema) else _closed(schema)


def _composed(schema: Any) -> bool:
    if isinstance(schema, dict):
        parts = schema.keys() & {"anyOf", "oneOf", "$ref", "if"}
        if "allOf" in schema or ("properties" in schema and parts):
            return True
        return any(map(_composed, schema.values()))
    return isinstance(schema, list) and any(map(_composed, schema))


def _closed(schema: Any) -> Any:
    if not isinstance(schema, dict):
        return schema
    out = dict(schema)
    for key in ("properties", "$defs", "definitions"):
        if isinstance(out.get(key), dict):
            out[key] = {name: _closed(inner) for name, inner in out[key].items()}
    for key in ("anyOf", "oneOf", "prefixItems"):
        if isinstance(out.get(key), list):
            out[key] = [_closed(inner) for inner in out[key]]
    for key in ("items", "additionalProperties"):
        if key in out:
            out[key] = _closed(out[key])
    if "properties" in out:
        out.setdefault("additionalProperties", False)
    return out


class TokenTable:
    """A model's tokens as llguidance wants them. Takes a moment to make: once for a model."""

    def __init__(self, native: _chiasm.Model):
        try:
            import llguidance
        except ImportError as e:
            raise RequestError(
                "json_schema, regex and choices need the package llguidance: pip install llguidance"
            ) from e
        self._lib: Any = llguidance
        ends = list(native.info.eos_token_ids)
        if not ends:
            raise RequestError("the model has no end token, so that no form could end its answer")
        self._tokenizer = llguidance.LLTokenizer(
            llguidance.TokenizerWrapper(_Tokens(native, ends)), eos_token=ends
        )

    def constraint(
        self, json_schema: Any, regex: str | None, choices: Sequence[str] | None
    ) -> Callable[[], Mask] | None:
        """What makes the mask of one answer; None where no form is asked for.

        Raises:
            RequestError: The form is not valid, too complex, or more than one is given.
        """
        given = [value for value in (json_schema, regex, choices) if value is not None]
        if len(given) > 1:
            raise RequestError("json_schema, regex and choices: give one of them")
        if not given:
            return None
        if json_schema is not None:
            grammar = self._json(json_schema)
        elif regex is not None:
            grammar = self._lib.LLMatcher.grammar_from_regex(_short("regex", regex))
        else:
            grammar = self._lib.LLMatcher.grammar_from_lark(_alternatives(choices))
        first = self._lib.LLMatcher(self._tokenizer, grammar, log_level=0)
        if first.is_error():
            raise RequestError(f"the form of the answer is not valid: {first.get_error()}")
        return lambda: _mask(first.deep_copy())

    def _json(self, schema: Any) -> str:
        if isinstance(schema, str):
            try:
                schema = json.loads(_short("json_schema", schema))
            except (ValueError, RecursionError) as e:
                raise RequestError(f"json_schema is no JSON: {e}") from None
        if not isinstance(schema, (dict, bool)):
            raise RequestError("json_schema: expected an object, a JSON schema")
        _check_depth(schema)
        try:
            text = json.dumps(schema, allow_nan=False)
        except (TypeError, ValueError) as e:
            raise RequestError(f"json_schema is no JSON: {e}") from None
        try:
            grammar: str = self._lib.LLMatcher.grammar_from_json_schema(
                _short("json_schema", text), overrides=_LAYOUT
            )
        except ValueError as e:
            raise RequestError(f"json_schema: {e}") from None
        return grammar


class _Tokens:
    """The tokenizer that llguidance asks for."""

    def __init__(self, native: _chiasm.Model, ends: list[int]):
        self._native = native
        self.eos_token_id = ends[0]
        self.bos_token_id = None
        self.tokens = native.token_bytes()
        for id in ends:
            self.tokens[id] = self.tokens[id] or b"<end>"
        self.special_token_ids = [i for i, token in enumerate(self.tokens) if not token]
        self.special_token_ids += ends

    def __call__(self, text: str) -> list[int]:
        if not isinstance(text, str):
            raise TypeError("takes text")  # llguidance tries bytes first
        return self._native.tokenize(text, False)


def _mask(matcher: Any) -> Mask:
    seen = 0

    def mask(tokens: list[int]) -> bytes:
        nonlocal seen
        fresh, seen = tokens[seen:], len(tokens)
        if fresh and not matcher.consume_tokens(fresh):
            raise RuntimeError(matcher.get_error() or "a token that its form does not allow")
        bits: bytes = matcher.compute_bitmask()
        if matcher.is_error():
            raise RuntimeError(matcher.get_error())
        return bits

    return mask


def _alternatives(choices: Sequence[str] | None) -> str:
    if isinstance(choices, str) or not isinstance(choices, Sequence) or not choices:
        raise RequestError("choices: expected a list of str")
    if len(choices) > _MAX_CHOICES:
        raise RequestError(f"choices: {len(choices)} of them, at most {_MAX_CHOICES}")
    texts = [json.dumps(utf8(f"choices[{i}]", c)) for i, c in enumerate(choices)]
    if '""' in texts:
        raise RequestError("choices: an empty text is no answer")
    return _short("choices", "start: " + " | ".join(texts))


def _short(name: str, value: Any) -> str:
    text = utf8(name, value)
    if len(text) > _MAX_CHARACTERS:
        raise RequestError(f"{name}: {len(text)} characters, at most {_MAX_CHARACTERS}")
    return text


def _check_depth(value: Any, depth: int = 0) -> None:
    if depth > _MAX_DEPTH:
        raise RequestError(f"json_schema: nested more than {_MAX_DEPTH} deep")
    if isinstance(value, dict):
        for inner in value.values():
            _check_depth(inner, depth + 1)
    elif isinstance(value, list):
        for inner in value:
            _check_depth(inner, depth + 1)
