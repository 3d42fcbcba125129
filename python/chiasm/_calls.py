"""Tools that an answer may call: what the chat template shows of them, what form the answer must have,
and the calls in it."""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from chiasm._messages import plain_tools
from chiasm._results import Result
from chiasm._structured import closed
from chiasm._tools import Call, find_calls, may_begin, style_of
from chiasm.errors import RequestError

if TYPE_CHECKING:
    from chiasm._model import Model


class Tools:
    """The tools of one request; none where it has none, or asks for no use of them.

    Args:
        given: `{"type": "function", "function": {"name", "description", "parameters"}}`, as OpenAI's.
        choice: "auto": the model decides. "none". "required": the answer is a call of one of them.
        name: The answer is a call of this one, whatever `choice` says.

    Raises:
        RequestError: The choice fits no tool, or the model decides and was not made for tools.
    """

    def __init__(
        self,
        model: Model,
        given: Sequence[dict[str, Any]],
        choice: str = "auto",
        name: str | None = None,
    ):
        if choice not in ("auto", "none", "required"):
            raise RequestError(f"tool_choice is {choice!r}, expected auto, none or required")
        forced = choice == "required" or name is not None
        tools = plain_tools(given) or []
        if not tools and forced:
            raise RequestError("tool_choice: there are no tools")
        self._model = model
        self._names = [_name(tool) for tool in tools] if forced or choice == "auto" else []
        self.shown = tools if self._names else None
        """What `Model.generate` takes as `tools`."""
        self.schema: dict[str, Any] | None = None
        """The form of an answer that must be a call, for `json_schema`."""
        template = model._template
        self._style = style_of(template.source) if template is not None else None
        if self._names and not forced and self._style is None:
            raise RequestError(
                "the model's chat template knows no tools; a call that is required works with every model"
            )
        if template is None or not template.takes_tools:
            self.shown = None  # a forced call needs none
        if name is not None:
            tools = [tool for tool in tools if _name(tool) == name]
            if not tools:
                raise RequestError(f"tool_choice: no tool {name!r}")
        if forced:
            self.schema = _form(tools)

    def read(self, result: Result) -> tuple[str, list[Call]]:
        """The words and the calls of an answer."""
        if not self._names:
            return result.text, []
        if self.schema is not None:
            try:
                said = json.loads(result.text)
            except ValueError:  # cut off by max_tokens
                return result.text, []
            return "", [Call(said["name"], json.dumps(said["arguments"], ensure_ascii=False))]
        assert self._style is not None
        whole = self._model.detokenize(result.token_ids, skip_special_tokens=False)
        words, calls = find_calls(self._style, whole, self._names)
        return (words, calls) if calls else (result.text, [])

    def words_so_far(self, text: str) -> int:
        """How many characters of a text that still grows are words for sure."""
        if not self._names:
            return len(text)
        if self.schema is not None:
            return 0
        assert self._style is not None
        return may_begin(self._style, text)


def knows_tools(model: Model) -> bool:
    """Whether the model can be left to decide when to call a tool."""
    template = model._template
    return template is not None and template.takes_tools and style_of(template.source) is not None


def asked(model: Model, settings: dict[str, Any]) -> tuple[Tools, dict[str, Any]]:
    """The tools of a call, and its settings for `Model.generate`.

    Args:
        settings: Those of `Model.generate`, `tools` and `tool_choice`: "auto" or nothing, "none",
            "required" ("any", True), a tool's name, or OpenAI's object with one.
    """
    rest = dict(settings)
    given, choice = rest.pop("tools", None) or [], rest.pop("tool_choice", None)
    if isinstance(choice, dict):
        choice = choice.get("function", {}).get("name")
    if not choice or choice in ("auto", "none"):
        tools = Tools(model, given, choice or "auto")
    elif choice in (True, "any", "required"):
        tools = Tools(model, given, "required")
    else:
        tools = Tools(model, given, name=choice)
    if tools.schema is not None:
        rest["json_schema"] = tools.schema
    return tools, rest | {"tools": tools.shown}


def new_id() -> str:
    """What a call is known by, in the shape of OpenAI's."""
    return f"call_{secrets.token_hex(12)}"


class Reader:
    """An answer that comes in pieces."""

    def __init__(self, tools: Tools):
        self._tools = tools
        self._text = ""
        self._shown = 0

    def push(self, piece: str) -> str:
        """What can be shown now."""
        self._text += piece
        return self._show(self._tools.words_so_far(self._text))

    def end(self, result: Result) -> tuple[str, list[Call]]:
        """What is left to show, and the calls."""
        words, calls = self._tools.read(result)
        if calls:
            return "", calls
        self._text = words
        return self._show(len(words)), []

    def _show(self, until: int) -> str:
        fresh = self._text[self._shown : until]
        self._shown = max(self._shown, until)
        return fresh


def _name(tool: dict[str, Any]) -> str:
    name: str = tool["function"]["name"]
    return name


def _form(tools: list[dict[str, Any]]) -> dict[str, Any]:
    """A JSON object that is a call of one of the tools."""
    forms = [
        {
            "type": "object",
            "properties": {
                "name": {"const": _name(tool)},
                "arguments": closed(tool["function"].get("parameters") or {"type": "object"}),
            },
            "required": ["name", "arguments"],
            "additionalProperties": False,
        }
        for tool in tools
    ]
    return forms[0] if len(forms) == 1 else {"anyOf": forms}
