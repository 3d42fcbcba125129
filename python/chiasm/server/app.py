"""The ASGI application."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chiasm import _chiasm
from chiasm.server import chat, completions, embeddings, page, search, speech, status, tiles
from chiasm.server.errors import ApiError, as_api_error
from chiasm.server.gate import Gate
from chiasm.server.jobs import ClientGone
from chiasm.server.settings import Models, Settings
from chiasm.server.state import State

_CLIENT_CLOSED = 499  # nginx's number; nobody reads it but the metrics


def create_app(models: Models, settings: Settings) -> Any:
    """The server as an ASGI application; its State is `app.state.chiasm`."""
    app = FastAPI(
        title="Chiasm",
        version=_chiasm.__version__,
        description="OpenAI's API over a model on this machine.",
        docs_url=None,  # they would load scripts from elsewhere
        redoc_url=None,
    )
    state = State(models, settings)
    app.state.chiasm = state
    for room in (chat, completions, embeddings, search, speech, tiles, status, page):
        app.include_router(room.router)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(ClientGone, _on_gone)
    app.add_exception_handler(ApiError, _on_error)
    app.add_middleware(_Errors, state=state)
    app.add_middleware(Gate, settings=settings)
    return app


class _Errors:
    """Every error becomes an answer of OpenAI's shape, and every answer is counted."""

    def __init__(self, app: ASGIApp, state: State):
        self._app = app
        self._state = state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 0

        async def counted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, counted)
        except Exception as e:
            if status:
                raise
            await _response(as_api_error(e))(scope, receive, counted)
        finally:
            route = getattr(scope.get("route"), "path", "other")
            self._state.metrics.responded(route, status)


def _response(error: ApiError) -> Response:
    return Response(error.json(), error.status, error.headers, "application/json")


async def _on_error(request: Request, error: Exception) -> Response:
    return _response(as_api_error(error))


async def _on_gone(request: Request, error: Exception) -> Response:
    request.app.state.chiasm.metrics.cancelled()
    return Response(status_code=_CLIENT_CLOSED)


async def _on_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    message = {
        404: f"no such route: {request.url.path}",
        405: f"{request.method} is not for this route",
    }
    return _response(
        ApiError(
            error.status_code,
            message.get(error.status_code, str(error.detail)),
            headers=dict(error.headers or {}),
        )
    )


async def _on_invalid(request: Request, error: Exception) -> Response:
    """The first thing that is wrong, and where."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"] if part != "body")
    given = first.get("input")
    shown = f", not {given!r}" if isinstance(given, (int, float, bool)) or given is None else ""
    if first["type"] == "missing":
        message = f"{where or 'the body'} is missing"
    elif first["type"] == "extra_forbidden":
        message = f"{where} is not a setting of this route"
    elif first["type"] == "json_invalid":
        message, where = "the body is no JSON", ""
    else:
        message = f"{where or 'the body'}: {first['msg']}{shown}"
    return _response(ApiError(400, message, param=where or None))
