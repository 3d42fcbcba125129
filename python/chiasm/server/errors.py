"""Errors as OpenAI's API shows them: {"error": {"message", "type", "param", "code"}}."""

from __future__ import annotations

import json
import logging
from typing import Any

from chiasm.errors import DeviceError, Error, Interrupted, MediaError, RequestError

log = logging.getLogger("chiasm.server")

_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}


class ApiError(Exception):
    """An answer other than 200, with what a client needs to know."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        headers: dict[str, str] | None = None,
    ):
        super().__init__(message)
        self.status = status
        self.headers = dict(headers or {})
        if status in (429, 503):
            self.headers.setdefault("retry-after", "1")
        kind = _TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")
        self.body: dict[str, Any] = {
            "error": {"message": message, "type": kind, "param": param, "code": code}
        }

    def json(self) -> bytes:
        return json.dumps(self.body).encode()  # ASCII: a message may quote anything


def as_api_error(error: BaseException) -> ApiError:
    """What a client hears of an error. Nothing of an unexpected one, which goes to the log."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, MediaError):
        return ApiError(400, str(error), code="invalid_media")
    if isinstance(error, RequestError):
        return ApiError(400, str(error))
    if isinstance(error, Interrupted):
        return ApiError(503, "the server is stopping")
    if isinstance(error, MemoryError):
        return ApiError(503, "the server is out of memory; try again later")
    log.error("a request failed", exc_info=error)
    if isinstance(error, DeviceError):  # of several devices, another takes the next request
        return ApiError(503, str(error))
    if isinstance(error, Error):
        return ApiError(500, str(error))
    return ApiError(500, "the server failed on this request; its log says why")
