"""/v1/tiles: what the chat model sees of a picture."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from chiasm._model import Model
from chiasm.server import schema
from chiasm.server.media import picture
from chiasm.server.state import state_of
from chiasm.server.stream import gone

router = APIRouter()


@router.post("/v1/tiles", response_model=None)
async def tiles(body: schema.TilesRequest, request: Request) -> Response:
    """The tiles of a picture in its own pixels, and how many tokens each becomes. Nothing is decoded."""
    state = state_of(request)
    model: Model = state.model("chat", body.model)
    job = await state.jobs.run(
        lambda receive, flag: model.tiles(
            picture(body.image.url, "image", state.settings), pictures=body.pictures
        ).as_dict(),
        gone(request),
    )
    return JSONResponse({"object": "tiles", "model": body.model, **job.done.result()})
