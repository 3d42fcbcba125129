"""From a request's messages to what `Model` takes."""

from __future__ import annotations

import json
from typing import Any

from chiasm.server import schema
from chiasm.server.errors import ApiError
from chiasm.server.media import from_base64, picture
from chiasm.server.settings import Settings


def read_messages(messages: list[schema.ChatMessage], settings: Settings) -> list[dict[str, Any]]:
    """Messages with the bytes of their media in place. Fetches pictures, where that is allowed.

    Raises:
        ApiError, MediaError: A medium is not allowed or damaged.
    """
    reader = _Reader(settings)
    return [reader.message(message, i) for i, message in enumerate(messages)]


class _Reader:
    def __init__(self, settings: Settings):
        self._settings = settings
        self._pictures = 0
        self._sounds = 0

    def message(self, message: schema.ChatMessage, index: int) -> dict[str, Any]:
        # Templates know no "developer"; it is OpenAI's newer word for the system.
        role = "system" if message.role == "developer" else message.role
        out: dict[str, Any] = {"role": role}
        if isinstance(message.content, str):
            out["content"] = message.content
        elif message.content is not None:
            out["content"] = [self._part(part) for part in message.content]
        elif role != "assistant":
            raise ApiError(400, f"messages[{index}]: a {role} message needs a content")
        else:
            out["content"] = ""
        for key in ("name", "tool_call_id", "reasoning_content"):
            if (value := getattr(message, key)) is not None:
                out[key] = value
        if message.tool_calls:
            out["tool_calls"] = [_call(call, index) for call in message.tool_calls]
        return out

    def _part(self, part: schema.Part) -> dict[str, Any]:
        if isinstance(part, schema.TextPart):
            return {"type": "text", "text": part.text}
        if isinstance(part, schema.ImagePart):
            self._pictures += 1
            if self._pictures > self._settings.max_images:
                raise ApiError(
                    400,
                    f"messages: more than {self._settings.max_images} pictures (--max-images)",
                    param="messages",
                )
            name = f"image {self._pictures}"
            return {"type": "image", "image": picture(part.image_url.url, name, self._settings)}
        self._sounds += 1
        name = f"sound {self._sounds}"
        data = from_base64(part.input_audio.data, name, self._settings.max_body_bytes)
        return {"type": "audio", "audio": data}


def _call(call: schema.ToolCall, index: int) -> dict[str, Any]:
    """Templates print arguments as an object."""
    try:
        arguments = json.loads(call.function.arguments or "{}")
    except (ValueError, RecursionError):
        raise ApiError(
            400, f"messages[{index}].tool_calls: the arguments of {call.function.name} are no JSON"
        ) from None
    function = {"name": call.function.name, "arguments": arguments}
    return {"type": "function", "id": call.id, "function": function}
