"""Pictures from hosts that the server was told to trust.

A name is resolved once and the connection goes to the address that was checked: a second look-up
could give another one (DNS rebinding). Private, loopback and link-local addresses are refused,
whatever name leads there, and so on at every redirect.
"""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import socket
import ssl
import threading
import time
import urllib.parse

from chiasm.errors import MediaError
from chiasm.server.errors import ApiError
from chiasm.server.settings import Settings

_REDIRECTS = 3
_REDIRECT_STATUS = (301, 302, 303, 307, 308)
_CHUNK = 64 << 10


def fetch(url: str, name: str, settings: Settings) -> bytes:
    """The bytes behind an http(s) URL of an allowed host.

    Raises:
        ApiError: The host, or one it redirects to, is not allowed.
        MediaError: It does not answer as it should, in time or within the size limit.
    """
    deadline = time.monotonic() + settings.fetch_seconds
    for _ in range(_REDIRECTS + 1):
        parts = _checked(url, name, settings)
        address = public_address(parts.hostname or "", parts.port or _port(parts), name)
        try:
            status, location, body = _get(parts, address, deadline, settings.max_image_bytes, name)
        except (OSError, http.client.HTTPException, ValueError) as e:
            raise MediaError(f"{name}: {parts.hostname} gives nothing: {e}") from None
        if status in _REDIRECT_STATUS and location:
            url = urllib.parse.urljoin(url, location)
            continue
        if status != 200:
            raise MediaError(f"{name}: {parts.hostname} answers with status {status}")
        return body
    raise MediaError(f"{name}: more than {_REDIRECTS} redirects")


def _checked(url: str, name: str, settings: Settings) -> urllib.parse.SplitResult:
    try:
        parts = urllib.parse.urlsplit(url)
        host, _ = parts.hostname, parts.port  # a bad port raises
    except ValueError:
        raise ApiError(400, f"{name}: not a URL", code="invalid_image_url") from None
    allowed = {domain.lower() for domain in settings.media_domains}
    if parts.scheme not in ("http", "https") or not host or host.lower() not in allowed:
        raise ApiError(
            400,
            f"{name}: the host {host!r} is not among those that pictures may come from "
            "(--allow-media-domain)",
            code="invalid_image_url",
        )
    if parts.username or parts.password or any(c <= " " or c > "~" for c in url):
        raise ApiError(400, f"{name}: not a plain URL", code="invalid_image_url")
    return parts


def _port(parts: urllib.parse.SplitResult) -> int:
    return 443 if parts.scheme == "https" else 80


def public_address(host: str, port: int, name: str) -> tuple[str, int]:
    """The first address of a host; refused when any is not of the public internet."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as e:
        raise MediaError(f"{name}: {host} has no address: {e}") from None
    for *_, address in found:
        if not is_public(str(address[0])):
            raise ApiError(
                400,
                f"{name}: {host} leads to an address that is not of the public internet",
                code="invalid_image_url",
            )
    return str(found[0][4][0]), port


def is_public(address: str) -> bool:
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if inner is not None:
            return is_public(str(inner))
        if ip in ipaddress.ip_network("64:ff9b::/96"):  # NAT64
            return is_public(str(ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)))
    return ip.is_global and not ip.is_multicast


def _get(
    parts: urllib.parse.SplitResult,
    address: tuple[str, int],
    deadline: float,
    limit: int,
    name: str,
) -> tuple[int, str | None, bytes]:
    """One request to the address that was checked, with the host's own name in it."""
    host = parts.hostname or ""
    raw = socket.create_connection(address, timeout=_left(deadline))
    # Ends reads too that a trickle of bytes would keep alive.
    watchdog = threading.Timer(_left(deadline), _shut, [raw])
    watchdog.daemon = True
    watchdog.start()
    with raw, contextlib.ExitStack() as stack:
        stack.callback(watchdog.cancel)
        connected: socket.socket = raw
        if parts.scheme == "https":
            connected = ssl.create_default_context().wrap_socket(raw, server_hostname=host)
        connection = http.client.HTTPConnection(host, address[1])
        connection.sock = connected
        path = urllib.parse.urlunsplit(("", "", parts.path or "/", parts.query, ""))
        connection.request("GET", path, headers={"Host": parts.netloc, "Accept": "image/*"})
        response = connection.getresponse()
        if response.status != 200:
            return response.status, response.getheader("location"), b""
        chunks: list[bytes] = []
        size = 0
        while True:
            _left(deadline)
            chunk = response.read1(_CHUNK)
            if not chunk:
                _left(deadline)  # the watchdog may have ended it
                return 200, None, b"".join(chunks)
            size += len(chunk)
            if size > limit:
                raise MediaError(f"{name}: over the limit of {limit} bytes")
            chunks.append(chunk)


def _shut(raw: socket.socket) -> None:
    with contextlib.suppress(OSError):
        raw.shutdown(socket.SHUT_RDWR)


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("it takes too long")
    return left
