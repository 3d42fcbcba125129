"""A loaded multi-vector retriever."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from chiasm import _chiasm, _media
from chiasm._media import Image
from chiasm._options import utf8
from chiasm._results import fields_of
from chiasm.errors import RequestError

FloatArray = npt.NDArray[np.float32]


@dataclasses.dataclass(frozen=True)
class RetrieverInfo:
    """What a loaded retriever is."""

    family: str
    path: str
    dtype: str
    quantize: str
    """int8, int4, or empty."""
    isa: str
    """The instruction set in use."""
    size: int
    """Numbers of a vector."""
    max_tokens: int
    """Of a text or a picture."""
    parameters: int
    weight_bytes: int
    """Resident, packed."""
    threads: int

    def as_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


class Retriever:
    """Texts and pictures (pages of documents) as a unit vector for each of their tokens:
    `chiasm.load_retriever` makes it. Thread-safe.

    >>> import chiasm
    >>> retriever = chiasm.load_retriever("vidore/colqwen2-v1.0-hf")  # doctest: +SKIP
    >>> pages = retriever.embed_image(["1.png", "2.png"])  # doctest: +SKIP
    >>> scores = retriever.score(retriever.embed_text(["revenue in 2019"]), pages)  # doctest: +SKIP
    """

    def __init__(self, native: _chiasm.Retriever):
        self._native = native
        self.info = RetrieverInfo(**fields_of(RetrieverInfo, native.info))

    def __repr__(self) -> str:
        return f"<chiasm.Retriever {self.info.family} {self.info.path} {self.info.dtype}>"

    def embed_text(self, texts: Iterable[str]) -> list[FloatArray]:
        """For each text float32 `[tokens, size]`, with the prefix and the filling tokens that the
        model's processor writes around it. The words are never structure.

        Raises:
            RequestError: A text is too long or no text.
        """
        if isinstance(texts, (str, bytes, bytearray)) or not isinstance(texts, Iterable):
            raise RequestError(f"texts is of type {type(texts).__name__}, expected several str")
        return self._native.embed_texts([utf8(f"text {i + 1}", t) for i, t in enumerate(texts)])

    def embed_image(self, images: Sequence[Image]) -> list[FloatArray]:
        """For each picture float32 `[tokens, size]`. A picture is a path, the bytes of a file, a PIL
        image or a uint8 array `[height, width, 3]` (RGB).

        Raises:
            MediaError: A picture cannot be read.
        """
        if _media.is_image(images) or not isinstance(images, Iterable):
            raise RequestError(f"images is of type {type(images).__name__}, expected several")
        return self._native.embed_images(_media.image_inputs(list(images)))

    def score(self, queries: Sequence[FloatArray], documents: Sequence[FloatArray]) -> FloatArray:
        """float32 `[queries, documents]`: `max_sim` of each with each."""
        rows = [[max_sim(query, document) for document in documents] for query in queries]
        return np.array(rows, np.float32).reshape(len(queries), len(documents))


def max_sim(query: FloatArray, document: FloatArray) -> float:
    """The sum over the query's vectors `[n, size]` of the largest product with a vector of the
    document `[m, size]` (late interaction: Khattab and Zaharia, 2020, arXiv:2004.12832).

    Raises:
        RequestError: The shapes do not fit, or the document has no vectors.
    """
    for name, rows in (("query", query), ("document", document)):
        if np.ndim(rows) != 2:
            raise RequestError(f"{name}: expected an array [vectors, size]")
    if query.shape[1] != document.shape[1] or not len(document):
        raise RequestError(f"query {query.shape} and document {document.shape} do not fit")
    return float((query @ document.T).max(axis=1).sum())
