"""/v1/search, over an index that `chiasm index` made, and answers from what is found."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from chiasm.server import schema
from chiasm.server.errors import ApiError
from chiasm.server.media import picture
from chiasm.server.state import State, state_of
from chiasm.server.stream import gone

if TYPE_CHECKING:
    from chiasm.rag import Hit, Index

router = APIRouter()


@router.get("/v1/search", response_model=None)
async def about(request: Request) -> Response:
    """How much can be searched; nothing where there is no index."""
    index = state_of(request).models.index
    return JSONResponse({"object": "index", "items": 0 if index is None else len(index)})


@router.post("/v1/search", response_model=None)
async def search(body: schema.SearchRequest, request: Request) -> Response:
    """What fits words or a picture best, best first; with `answer`, also what the chat model says of
    it, and the numbers of the hits it goes by."""
    state = state_of(request)
    index = _index(state)
    if body.query is None and body.image is None:
        raise ApiError(400, "query is missing: give words, or a picture as `image`", param="query")
    if body.answer and (body.query is None or state.models.chat is None):
        what = "a query to answer" if body.query is None else "a model that answers messages"
        raise ApiError(400, f"answer: there is no {what}", param="answer")
    job = await state.jobs.run(lambda receive, flag: found(state, index, body), gone(request))
    return JSONResponse(job.done.result())


def found(state: State, index: Index, body: schema.SearchRequest) -> dict[str, Any]:
    """The reply, on a job's thread."""
    from chiasm.rag import Retriever, answer

    seen = None if body.image is None else picture(body.image.url, "image", state.settings)
    settings: dict[str, Any] = {"mode": body.mode, "kinds": body.kinds}
    hits = index.search(body.query, image=seen, limit=body.limit, **settings)
    thumbnails = index.thumbnails(hits)
    reply: dict[str, Any] = {
        "object": "list",
        "data": [_shown(hit, thumbnails.get(hit.id)) for hit in hits],
    }
    if body.answer:
        assert body.query is not None
        retriever = Retriever(index, limit=body.limit, **settings)
        most = body.max_tokens or state.settings.default_max_tokens
        told = answer(body.query, retriever, model=state.models.chat, max_tokens=most)
        reply["answer"] = told.as_dict()
    return reply


def _index(state: State) -> Index:
    if state.models.index is None:
        raise ApiError(404, "this server has no index: start it with --db INDEX", code="no_index")
    return state.models.index


def _shown(hit: Hit, thumbnail: bytes | None) -> dict[str, Any]:
    url = None
    if thumbnail is not None:
        url = "data:image/jpeg;base64," + base64.b64encode(thumbnail).decode()
    return hit.as_dict() | {"object": "search.hit", "name": hit.name, "thumbnail": url}
