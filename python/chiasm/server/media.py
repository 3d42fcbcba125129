"""Pictures and sounds of a request: data URLs, and what an allowed host gives."""

from __future__ import annotations

import base64
import binascii
import urllib.parse

from chiasm.errors import MediaError
from chiasm.server.errors import ApiError
from chiasm.server.fetch import fetch
from chiasm.server.settings import Settings


def picture(url: str, name: str, settings: Settings) -> bytes:
    """The encoded bytes of a picture. Never a file of the server.

    Raises:
        ApiError: The URL is of a kind or host that is not allowed.
        MediaError: What it holds is damaged, too large or does not come.
    """
    scheme = url[:5].lower()
    if scheme == "data:":
        return decoded(url[5:], name, settings.max_image_bytes)
    if scheme in ("http:", "https"):
        if not settings.media_domains:
            raise ApiError(
                400,
                f"{name}: nothing is fetched from a network; send a data: URL, or start the server "
                "with --allow-media-domain HOST",
                code="invalid_image_url",
            )
        return fetch(url, name, settings)
    shown = urllib.parse.quote(url[:24], safe=":/+,;=")
    raise ApiError(400, f"{name}: {shown!r} is no data: URL", code="invalid_image_url")


def decoded(rest: str, name: str, limit: int) -> bytes:
    """What stands behind "data:"."""
    head, comma, body = rest.partition(",")
    if not comma or not head.lower().endswith(";base64"):
        raise MediaError(f"{name}: a data: URL without ;base64, and the bytes behind it")
    return from_base64(body, name, limit)


def from_base64(body: str, name: str, limit: int) -> bytes:
    if len(body) // 4 * 3 > limit + 3:
        raise MediaError(f"{name}: over the limit of {limit} bytes")
    try:
        data = base64.b64decode(urllib.parse.unquote(body), validate=True)
    except (binascii.Error, ValueError) as e:
        raise MediaError(f"{name}: damaged base64: {e}") from None
    if not data:
        raise MediaError(f"{name}: holds no bytes")
    return data
