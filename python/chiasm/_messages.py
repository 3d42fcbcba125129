"""From OpenAI-shaped messages to what a chat template takes, and the media in them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from chiasm import _media
from chiasm._options import utf8
from chiasm._templates import ChatTemplate
from chiasm._video import listed_videos, video_of_item
from chiasm.errors import RequestError

_ROLE = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,31}")
_IMAGE_KEYS = ("image", "url", "path", "base64", "data")
_SOUND_KEYS = ("audio", "url", "path", "base64", "data")
_REASONING = ("reasoning_content", "thinking", "reasoning")
_MAX_DEPTH = 32


class Media(NamedTuple):
    """What the items of messages hold, in order; None where an item leaves it to the call."""

    images: list[Any]
    sounds: list[Any]
    videos: list[Any]


def read_messages(
    messages: Any,
    images: Sequence[Any] | None = None,
    audio: Sequence[Any] | None = None,
    videos: Sequence[Any] | None = None,
    *,
    complete: bool = True,
) -> tuple[list[dict[str, Any]], Media]:
    """Messages of plain data with `{"type": "image"}`, `{"type": "video"}` and `{"type": "audio"}`
    items, and their media.

    Items without a medium of their own take the next of `images`, `videos` or `audio`. When no
    message has an item for them, these go before the words of the first user message. Unless
    `complete`, items may be left without a medium (None).
    """
    if isinstance(messages, (str, bytes, Mapping)) or not isinstance(messages, Sequence):
        raise RequestError("messages: expected a list of {'role', 'content'}")
    if not messages:
        raise RequestError("messages: the list is empty")
    if images is not None and (_media.is_image(images) or not isinstance(images, Sequence)):
        raise RequestError("images: expected a list of pictures")
    if audio is not None and (isinstance(audio, (str, bytes)) or not isinstance(audio, Sequence)):
        raise RequestError("audio: expected a list of sounds")
    found = Media([], [], [])
    out = [_message(message, f"messages[{i}]", found) for i, message in enumerate(messages)]
    sounds = _filled(out, "audio", "audio", found.sounds, audio, complete)
    moving = _filled(out, "video", "videos", found.videos, listed_videos(videos), complete)
    pictures = _filled(out, "image", "images", found.images, images, complete)
    return out, Media(pictures, sounds, moving)


def _filled(
    messages: list[dict[str, Any]],
    kind: str,
    argument: str,
    found: list[Any],
    media: Sequence[Any] | None,
    complete: bool,
) -> list[Any]:
    """The media of all items of a kind, those of the call where items have none of their own."""
    given = list(media or ())
    if given and not found:
        _put_first(messages, kind, len(given), argument)
        return given
    open_places = sum(place is None for place in found)
    if not complete and not given:
        return found
    if open_places != len(given):
        what = {"image": "a picture", "video": "a video"}.get(kind, "a sound")
        raise RequestError(
            f"messages: {open_places} {kind} item(s) without {what} of their own, "
            f"{argument} holds {len(given)}"
        )
    return [given.pop(0) if place is None else place for place in found]


def turn(words: str, pictures: int = 1, videos: int = 0) -> dict[str, Any]:
    """A user message: pictures, videos, then words."""
    items: list[dict[str, Any]] = [{"type": "image"}] * pictures + [{"type": "video"}] * videos
    return {"role": "user", "content": [*items, {"type": "text", "text": words}]}


def plain_turn(messages: list[dict[str, Any]]) -> str | None:
    """The words of messages that are one user message, media first; None for any others."""
    if len(messages) != 1 or messages[0]["role"] != "user":
        return None
    content = messages[0].get("content", "")
    if isinstance(content, str):
        return content
    order = [item["type"] == "text" for item in content]
    if order != sorted(order):
        return None
    return "".join(item["text"] for item in content if item["type"] == "text")


def fit_template(messages: list[dict[str, Any]], template: ChatTemplate) -> list[dict[str, Any]]:
    """Contents as str or as items, whichever the template shows; as given where both do."""
    out = []
    for message in messages:
        content, role = message.get("content"), message["role"]
        if isinstance(content, str) and not template.shows(role, as_list=False):
            if template.shows(role, as_list=True):
                message = {**message, "content": [{"type": "text", "text": content}]}
        elif (
            isinstance(content, list)
            and all(item.get("type") == "text" for item in content)
            and not template.shows(role, as_list=True)
            and template.shows(role, as_list=False)
        ):
            message = {**message, "content": "\n".join(item["text"] for item in content)}
        out.append(message)
    return out


def plain_tools(tools: Any) -> list[dict[str, Any]] | None:
    """Functions that the model may call, as plain JSON data: [{"type": "function", "function": {...}}]."""
    if not tools:
        return None
    if isinstance(tools, (str, bytes, Mapping)) or not isinstance(tools, Sequence):
        raise RequestError("tools: expected a list of {'type': 'function', 'function': ...}")
    for i, tool in enumerate(tools):
        function = tool.get("function") if isinstance(tool, Mapping) else None
        if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
            raise RequestError(f"tools[{i}]: expected {{'type': 'function', 'function': {{'name'}}}}")
    return [_plain(tool, f"tools[{i}]") for i, tool in enumerate(tools)]


def videos_as_text(messages: list[dict[str, Any]], text: str) -> list[dict[str, Any]]:
    """Messages whose videos are words: for templates that know pictures alone."""
    out = []
    for message in messages:
        content = message.get("content")
        if isinstance(content, list):
            items = [{"type": "text", "text": text} if i["type"] == "video" else i for i in content]
            message = {**message, "content": items}
        out.append(message)
    return out


def _message(message: Any, where: str, found: Media) -> dict[str, Any]:
    if not isinstance(message, Mapping):
        raise RequestError(f"{where}: expected {{'role', 'content'}}, got {type(message).__name__}")
    role = message.get("role")
    if not isinstance(role, str) or not _ROLE.fullmatch(role):
        raise RequestError(f"{where}: role is {role!r}, expected a name such as user or assistant")
    out: dict[str, Any] = {}
    for key, value in message.items():
        if value is None:  # a template would print it
            continue
        if key == "content" and not isinstance(value, str):
            out[key] = _items(value, f"{where}.content", found)
        else:
            out[utf8(f"{where}: a key", key)] = _plain(value, f"{where}.{key}")
    reasoning = next((out[key] for key in _REASONING if key in out), None)
    if reasoning is not None:
        out = {"thinking": reasoning, **out, "reasoning_content": reasoning}
    return out


def _items(content: Any, where: str, found: Media) -> list[dict[str, Any]]:
    if isinstance(content, (bytes, Mapping)) or not isinstance(content, Sequence):
        raise RequestError(f"{where}: expected a str or a list of items")
    items = []
    for i, item in enumerate(content):
        at = f"{where}[{i}]"
        if not isinstance(item, Mapping):
            raise RequestError(f"{at}: expected an item such as {{'type': 'text', 'text': ...}}")
        kind = item.get("type")
        if kind == "text":
            items.append({"type": "text", "text": utf8(f"{at}.text", item.get("text"))})
        elif kind in ("image", "image_url", "input_image"):
            found.images.append(_medium(item, at, "image_url", _IMAGE_KEYS, "image"))
            items.append({"type": "image"})
        elif kind in ("audio", "input_audio", "audio_url"):
            found.sounds.append(_medium(item, at, kind, _SOUND_KEYS, "audio"))
            items.append({"type": "audio"})
        elif kind in ("video", "video_url"):
            found.videos.append(video_of_item(item, at))
            items.append({"type": "video"})
        else:
            raise RequestError(
                f"{at}: type is {kind!r}, expected text, image, image_url, video, video_url, audio"
                " or input_audio"
            )
    return items


def _medium(
    item: Mapping[str, Any], where: str, wrapper: str, keys: tuple[str, ...], kind: str
) -> Any:
    """What an item says of its picture or sound; None when it leaves it to the call."""
    value = item.get(wrapper)
    if isinstance(value, Mapping):  # OpenAI's image_url, input_audio
        if wrapper == "input_audio" and "data" in value:
            return _media.data_url(f";base64,{value['data']}", where)
        value = value.get("url")
    if value is not None:
        return value
    for key in keys:
        value = item.get(key)
        if value is not None:
            return _media.data_url(f";base64,{value}", where) if key == "base64" else value
    if item.get("type") != kind:
        raise RequestError(f"{where}: holds no {'picture' if kind == 'image' else 'sound'}")
    return None


def _put_first(messages: list[dict[str, Any]], kind: str, count: int, argument: str) -> None:
    for message in messages:
        if message["role"] == "user":
            words = message.get("content", [])
            if isinstance(words, str):
                words = [{"type": "text", "text": words}]
            message["content"] = [{"type": kind}] * count + words
            return
    raise RequestError(f"{argument}: there is no user message to hold them")


def _plain(value: Any, where: str, depth: int = 0) -> Any:
    """JSON data and nothing else: templates are code from elsewhere."""
    if depth > _MAX_DEPTH:
        raise RequestError(f"{where}: nested more than {_MAX_DEPTH} deep")
    if isinstance(value, str):
        return utf8(where, value)
    if value is None or type(value) in (bool, int, float):
        return value
    if isinstance(value, Mapping):
        return {
            utf8(f"{where}: a key", k): _plain(v, f"{where}.{k}", depth + 1)
            for k, v in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [_plain(v, where, depth + 1) for v in value]
    raise RequestError(f"{where}: a {type(value).__name__} is no JSON data")
