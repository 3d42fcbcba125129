"""/v1/embeddings, of texts and of pictures."""

from __future__ import annotations

import base64
from typing import Any, Union

import numpy as np
from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from chiasm._embedder import Embedder, FloatArray
from chiasm.server import schema
from chiasm.server.errors import ApiError
from chiasm.server.media import picture
from chiasm.server.settings import Settings
from chiasm.server.state import state_of
from chiasm.server.stream import gone

router = APIRouter()


@router.post("/v1/embeddings", response_model=None)
async def embeddings(body: schema.EmbeddingRequest, request: Request) -> Response:
    """Vectors of length 1, one for each input: texts and pictures in one space."""
    state = state_of(request)
    embedder: Embedder = state.model("embedder", body.model)
    if body.dimensions not in (None, embedder.info.size):
        raise ApiError(
            400,
            f"dimensions: the model's vectors have {embedder.info.size} numbers",
            param="dimensions",
        )
    inputs = body.input if isinstance(body.input, list) else [body.input]
    if len(inputs) > state.settings.max_inputs:
        raise ApiError(
            400, f"input: {len(inputs)} inputs, at most {state.settings.max_inputs}", param="input"
        )
    job = await state.jobs.run(
        lambda receive, flag: embed(embedder, inputs, state.settings), gone(request)
    )
    vectors, tokens = job.done.result()
    as_text = body.encoding_format == "base64"
    data = [
        {
            "object": "embedding",
            "index": i,
            "embedding": _base64(vector) if as_text else vector.tolist(),
        }
        for i, vector in enumerate(vectors)
    ]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return JSONResponse({"object": "list", "data": data, "model": body.model, "usage": usage})


def embed(
    embedder: Embedder,
    inputs: list[Union[str, schema.TextPart, schema.ImagePart]],
    settings: Settings,
) -> tuple[FloatArray, int]:
    """float32 [inputs, size], in order, and how many tokens were read: a picture's are its patches."""
    texts: dict[int, str] = {}
    pictures: dict[int, bytes] = {}
    for i, item in enumerate(inputs):
        if isinstance(item, schema.ImagePart):
            if len(pictures) == settings.max_images:
                raise ApiError(
                    400, f"input: more than {settings.max_images} pictures (--max-images)"
                )
            pictures[i] = picture(item.image_url.url, f"input {i + 1}", settings)
        else:
            texts[i] = item if isinstance(item, str) else item.text
    out: FloatArray = np.empty((len(inputs), embedder.info.size), np.float32)
    tokens = len(pictures) * embedder.info.patches_per_picture
    if texts:
        words = list(texts.values())
        out[list(texts)] = embedder.embed_text(words)
        tokens += sum(embedder.count_tokens(words))
    if pictures:
        out[list(pictures)] = embedder.embed_image(list(pictures.values()))
    return out, tokens


def _base64(vector: Any) -> str:
    """Little-endian float32, as OpenAI's client reads it."""
    return base64.b64encode(vector.astype("<f4").tobytes()).decode()
