"""A loaded embedder."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
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
class EmbedderInfo:
    """What a loaded embedder is."""

    family: str
    path: str
    dtype: str
    quantize: str
    """int8, int4, or empty."""
    isa: str
    """The instruction set in use."""
    lora: str
    """The folder of the adapter that all vectors go through; empty: none."""
    size: int
    """Numbers of a vector."""
    max_tokens: int
    """The longest text; 0: it takes no texts."""
    patches_per_picture: int
    """0: it takes no pictures."""
    parameters: int
    weight_bytes: int
    """Resident, packed."""
    threads: int
    prompts: dict[str, str]
    """Texts that the model wants before a user's words, by name."""
    default_prompt: str
    """The name of the one that stands there unasked; empty: none."""
    logit_scale: float
    """Logits are logit_scale * (text @ picture) + logit_bias: CLIP takes their softmax over texts,
    SigLIP their sigmoid. 0: the model says nothing."""
    logit_bias: float

    def as_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


class Embedder:
    """Texts and pictures as unit vectors of one space: `chiasm.load_embedder` makes it. The product of
    two vectors tells how well they fit. Thread-safe; a vector depends on its own text or picture alone.

    >>> import chiasm
    >>> embedder = chiasm.load_embedder()
    >>> words = embedder.embed_text(["a dog", "a red circle"])
    >>> pictures = embedder.embed_image(["a.jpg", "b.jpg"])  # doctest: +SKIP
    >>> best = (words @ pictures.T).argmax(axis=1)  # doctest: +SKIP
    """

    def __init__(self, native: _chiasm.Embedder):
        self._native = native
        self.info = EmbedderInfo(**fields_of(EmbedderInfo, native.info))

    def __repr__(self) -> str:
        return f"<chiasm.Embedder {self.info.family} {self.info.path} {self.info.dtype}>"

    def embed_text(
        self, text: str | Iterable[str], *, prompt: str | None = None, truncate: bool = False
    ) -> FloatArray:
        """float32 `[size]` of one text, `[texts, size]` of several. The words are never structure,
        whatever they spell.

        Args:
            text: One or several.
            prompt: The name of one of the model's prompts (`info.prompts`), which is put before each
                text; "": none. None: the model's own default.
            truncate: Whether a text that is too long loses its end; else it is an error.

        Raises:
            RequestError: A text is too long or no text, the model has no such prompt, or it embeds no
                texts.
        """
        rows: FloatArray = self._native.embed_texts(
            _texts(text), prompt=_prompt(prompt), truncate=bool(truncate)
        )
        return rows[0] if isinstance(text, str) else rows

    def count_tokens(
        self, text: str | Iterable[str], *, prompt: str | None = None, truncate: bool = False
    ) -> list[int]:
        """Tokens of each text as `embed_text` would read it: with the prompt and what the model puts
        around it, without padding. A picture takes `info.patches_per_picture`.

        Args and errors: those of `embed_text`.
        """
        return self._native.count_tokens(
            _texts(text), prompt=_prompt(prompt), truncate=bool(truncate)
        )

    def embed_image(self, image: Image | Iterable[Image]) -> FloatArray:
        """float32 `[size]` of one picture, `[pictures, size]` of several. A picture is a path, the
        bytes of a file, a PIL image or a uint8 array `[height, width, 3]` (RGB).

        Raises:
            MediaError: A picture cannot be read.
            RequestError: The model embeds no pictures.
        """
        if _media.is_image(image):
            one: FloatArray = self._native.embed_images([_media.image_input(image)])[0]
            return one
        return self._native.embed_images(_media.image_inputs(_listed(image)))


def _texts(text: Any) -> list[str]:
    if isinstance(text, str):
        return [utf8("text", text)]
    if not isinstance(text, Iterable) or isinstance(text, (bytes, bytearray)):
        raise RequestError(f"text is of type {type(text).__name__}, expected a str or several")
    return [utf8(f"text {i + 1}", t) for i, t in enumerate(text)]


def _prompt(prompt: str | None) -> str | None:
    return None if prompt is None else utf8("prompt", prompt)


def _listed(images: Any) -> list[Image]:
    if not isinstance(images, Iterable):
        raise RequestError(f"image is of type {type(images).__name__}, expected one or several")
    return list(images)
