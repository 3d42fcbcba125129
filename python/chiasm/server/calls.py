"""Tools of a chat request: what the template shows, what form an answer must have, and the calls in it."""

from __future__ import annotations

import json
import secrets
from typing import Any

from chiasm._model import Model
from chiasm._results import Result
from chiasm._tools import Call, find_calls, may_begin, style_of
from chiasm.server import schema
from chiasm.server.errors import ApiError
from chiasm.server.text import Stripper


class Tools:
    """The tools of one request; none where it has none, or asks for no use of them."""

    def __init__(self, model: Model, body: schema.ChatRequest):
        self._model = model
        choice = body.tool_choice
        given = body.tools or []
        if not given and choice not in (None, "none", "auto"):
            raise ApiError(400, "tool_choice: there are no tools", param="tool_choice")
        self._names = [tool.function.name for tool in given] if choice != "none" else []
        self.shown = [tool.model_dump(exclude_none=True) for tool in given] if self._names else None
        self.schema: dict[str, Any] | None = None
        """The form of an answer that must be a call."""
        template = model._template
        self._style = style_of(template.source) if template is not None else None
        if self._names and choice in (None, "auto") and self._style is None:
            raise ApiError(400, "the model's chat template knows no tools", param="tools")
        if template is None or not template.takes_tools:
            self.shown = None  # a forced call needs none
        if isinstance(choice, schema.NamedTool):
            chosen = [tool for tool in given if tool.function.name == choice.function.name]
            if not chosen:
                raise ApiError(
                    400, f"tool_choice: no tool {choice.function.name!r}", param="tool_choice"
                )
            self.schema = _form(chosen)
        elif choice == "required":
            self.schema = _form(given)

    def reader(self) -> Reader:
        return Reader(self)

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


class Reader:
    """An answer that comes in pieces."""

    def __init__(self, tools: Tools):
        self._tools = tools
        self._text = ""
        self._shown = 0
        self._strip = Stripper()

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
        return self._strip.push(fresh)


def listed(calls: list[Call], indexed: bool = False) -> list[dict[str, Any]]:
    """Calls as OpenAI's API shows them; in a stream they bear their index."""
    return [
        ({"index": i} if indexed else {})
        | {
            "id": f"call_{secrets.token_hex(12)}",
            "type": "function",
            "function": {"name": call.name, "arguments": call.arguments},
        }
        for i, call in enumerate(calls)
    ]


def _form(tools: list[schema.Tool]) -> dict[str, Any]:
    """A JSON object that is a call of one of the tools."""
    forms = [
        {
            "type": "object",
            "properties": {
                "name": {"const": tool.function.name},
                "arguments": tool.function.parameters or {"type": "object"},
            },
            "required": ["name", "arguments"],
            "additionalProperties": False,
        }
        for tool in tools
    ]
    return forms[0] if len(forms) == 1 else {"anyOf": forms}
