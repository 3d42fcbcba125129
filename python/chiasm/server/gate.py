"""What stands before every route: who may ask, and how much a body may hold.

A server on a machine of one's own is reachable from every page the browser there shows. So a request
from another origin is refused, and so is a name that the server was not told to answer to (a name
of an attacker may be made to point at 127.0.0.1: DNS rebinding).
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
import ipaddress
import urllib.parse
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from chiasm.server.errors import ApiError
from chiasm.server.settings import Settings

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

OPEN_PATHS = ("/health", "/ready")


class Gate:
    """ASGI middleware: checks host, origin, key and size, and hands the whole body on."""

    def __init__(self, app: App, settings: Settings):
        self._app = app
        self._settings = settings

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        try:
            headers = _headers(scope)
            self._check_host(headers)
            if scope["path"] not in OPEN_PATHS:
                self._check_key(headers, scope["path"])
            body = await self._body(headers, receive)
        except ApiError as error:
            await send_error(error, send)
            return
        if body is None:
            return
        await self._app(scope, _replay(body, receive), send)

    def _check_host(self, headers: dict[str, str]) -> None:
        host = _host_name(headers.get("host", ""))
        if not self._answers_to(host):
            raise ApiError(
                403, f"the server does not answer to the name {host!r}; start it with --allow-host"
            )
        origin = headers.get("origin")
        if origin is not None and _authority(origin) != headers.get("host", "").lower():
            raise ApiError(403, "requests from the pages of another origin are refused")

    def _answers_to(self, host: str) -> bool:
        if host in ("localhost", self._settings.host.lower(), *self._settings.hosts):
            return True
        try:  # an address is no name that somebody could have made point here
            ipaddress.ip_address(host)
        except ValueError:
            return False
        return True

    def _check_key(self, headers: dict[str, str], path: str) -> None:
        key = self._settings.api_key
        if key is None:
            return
        given = _given_key(headers.get("authorization", ""))
        if not hmac.compare_digest(given.encode(), key.encode()):
            page = not path.startswith(
                "/v1/"
            )  # a browser then asks for it: any name, key as password
            raise ApiError(
                401,
                "the API key is missing or wrong; send it as Authorization: Bearer KEY",
                code="invalid_api_key",
                headers={"www-authenticate": 'Basic realm="chiasm"' if page else "Bearer"},
            )

    async def _body(self, headers: dict[str, str], receive: Receive) -> bytes | None:
        """The whole body; None when the client has gone."""
        limit = self._settings.max_body_bytes
        told = headers.get("content-length", "0")
        if not told.isdecimal() or int(told[:20]) > limit:
            raise _too_large(limit)
        try:
            return await asyncio.wait_for(_read(receive, limit), self._settings.body_seconds)
        except asyncio.TimeoutError:
            raise ApiError(
                408, f"the body took over {self._settings.body_seconds:g} s to arrive"
            ) from None


async def send_error(error: ApiError, send: Send) -> None:
    body = error.json()
    headers = {
        "content-type": "application/json",
        "content-length": str(len(body)),
        "connection": "close",  # a body may be left unread
        **error.headers,
    }
    await send(
        {
            "type": "http.response.start",
            "status": error.status,
            "headers": [(k.encode(), v.encode()) for k, v in headers.items()],
        }
    )
    await send({"type": "http.response.body", "body": body})


async def _read(receive: Receive, limit: int) -> bytes | None:
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            raise _too_large(limit)
        chunks.append(chunk)
        if not message.get("more_body", False):
            return b"".join(chunks)


def _too_large(limit: int) -> ApiError:
    return ApiError(413, f"the body is over the limit of {limit} bytes (--max-body-mb)")


def _headers(scope: MutableMapping[str, Any]) -> dict[str, str]:
    return {k.decode("latin-1").lower(): v.decode("latin-1") for k, v in scope["headers"]}


def _replay(body: bytes, receive: Receive) -> Receive:
    """Gives the body once, then what the connection says: that the client has gone."""
    given = False

    async def replay() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


def _host_name(host: str) -> str:
    host = host.strip().lower()
    if host.startswith("["):  # an IPv6 address
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


def _authority(origin: str) -> str:
    try:
        return urllib.parse.urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


def _given_key(authorization: str) -> str:
    scheme, _, value = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(value, validate=True).decode().partition(":")[2]
        except (binascii.Error, ValueError):
            return ""
    return ""
