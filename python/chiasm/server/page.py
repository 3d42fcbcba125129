"""The web page at /, from files of the package."""

from __future__ import annotations

import pathlib

from fastapi import APIRouter
from starlette.responses import FileResponse, Response

from chiasm.server.errors import ApiError

router = APIRouter(include_in_schema=False)
_FILES = pathlib.Path(__file__).parent / "page"
_TYPES = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
}
_HEADERS = {
    # Nothing from elsewhere, no inline code, in no one's frame.
    "content-security-policy": "default-src 'self'; img-src 'self' data: blob:; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",
}


@router.get("/")
async def index() -> Response:
    return _file("index.html")


@router.get("/page/{name}")
async def part(name: str) -> Response:
    return _file(name)


def _file(name: str) -> Response:
    if name not in {file.name for file in _FILES.iterdir()}:
        raise ApiError(404, f"no such page: {name}")
    file = _FILES / name
    return FileResponse(file, media_type=_TYPES[file.suffix], headers=_HEADERS)
