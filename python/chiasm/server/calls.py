"""Tools of a chat request, and the calls in its answer."""

from __future__ import annotations

from typing import Any

from chiasm import _calls
from chiasm._calls import Tools, new_id
from chiasm._model import Model
from chiasm._tools import Call
from chiasm.errors import RequestError
from chiasm.server import schema
from chiasm.server.errors import ApiError
from chiasm.server.text import Stripper


def tools_of(model: Model, body: schema.ChatRequest) -> Tools:
    """The tools of a request.

    Raises:
        ApiError: The choice fits no tool, or the model decides and was not made for tools.
    """
    choice = body.tool_choice or "auto"
    given = [tool.model_dump(exclude_none=True) for tool in body.tools or []]
    try:
        if isinstance(choice, schema.NamedTool):
            return Tools(model, given, name=choice.function.name)
        return Tools(model, given, choice)
    except RequestError as e:
        at = "tool_choice" if str(e).startswith("tool_choice") else "tools"
        raise ApiError(400, str(e), param=at) from e


class Reader(_calls.Reader):
    """An answer that comes in pieces, without the white space around it."""

    def __init__(self, tools: Tools):
        super().__init__(tools)
        self._strip = Stripper()

    def _show(self, until: int) -> str:
        return self._strip.push(super()._show(until))


def listed(calls: list[Call], indexed: bool = False) -> list[dict[str, Any]]:
    """Calls as OpenAI's API shows them; in a stream they bear their index."""
    return [
        ({"index": i} if indexed else {})
        | {
            "id": new_id(),
            "type": "function",
            "function": {"name": call.name, "arguments": call.arguments},
        }
        for i, call in enumerate(calls)
    ]
