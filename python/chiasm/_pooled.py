"""Vectors of a model that answers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from chiasm._media import Image
from chiasm._requests import Prompt, RequestMaker
from chiasm.errors import RequestError

FloatArray = npt.NDArray[np.float32]


class PooledRows(RequestMaker):
    """What `Model` has for vectors: the rows behind its decoder, pooled."""

    def embed(
        self,
        prompt: Prompt,
        *,
        images: Sequence[Image] | None = None,
        pooling: str = "last",
    ) -> FloatArray:
        """float32 `[d_model]`, of length 1: a prompt and its pictures as one vector, the decoder's
        rows after its last norm pooled. For models that were trained to answer, not to embed: near
        things are near, but an embedder (`chiasm.load_embedder`) finds better.

        Args:
            prompt: As for `generate`.
            images: The pictures of a str prompt.
            pooling: "last": the row of the last token, which has seen all others; or "mean".

        Raises:
            RequestError: The prompt is too long, or `pooling` is unknown.
        """
        if pooling not in ("last", "mean"):
            raise RequestError(f"pooling is {pooling!r}, expected 'last' or 'mean'")
        request = self._request(prompt, images)
        one: FloatArray = self._native.embed(request, mean=pooling == "mean")[0]
        return one
