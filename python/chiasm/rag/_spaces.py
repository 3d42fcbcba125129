"""The embedders of an index, and the spaces of vectors they span."""

from __future__ import annotations

import hashlib
import os
import pathlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from chiasm import _chiasm
from chiasm._embedder import Embedder
from chiasm._media import Image
from chiasm.errors import Error, MediaError, RequestError

T = TypeVar("T")
Vector = npt.NDArray[np.float32]
_ENDS = 1 << 16
_QUERY, _PASSAGE = ("query",), ("passage", "document")
"""Names under which models keep what they want before a question, and before what answers it."""
_UNTAUGHT = 0.3


class Spaces:
    """Pictures and words about them by one embedder; texts by the same or by another."""

    def __init__(self, pictures: Embedder, texts: Embedder):
        self.pictures, self.texts = pictures, texts

    @property
    def sizes(self) -> dict[str, int]:
        """Numbers of a vector, by column."""
        sizes = {}
        if self.pictures.info.patches_per_picture:
            sizes["image_vector"] = self.pictures.info.size
        if self.texts.info.max_tokens:
            sizes["text_vector"] = self.texts.info.size
        return sizes

    def weight(self, column: str) -> float:
        """What a ranking by these vectors counts for beside the others. The bundled model's head
        was trained on descriptions of pictures alone: of passages it knows little, and shared words
        tell more."""
        untaught = column == "text_vector" and is_bundled_head(self.texts)
        return _UNTAUGHT if untaught else 1.0

    def of_pictures(self, pictures: Sequence[_chiasm.ImageInput]) -> list[Vector | Error]:
        """A vector for each, or what is wrong with it."""
        if not self.pictures.info.patches_per_picture:
            problem = MediaError(f"{self.pictures.info.path} embeds no pictures")
            return [problem] * len(pictures)
        return each(self.pictures.embed_image, list(pictures))

    def of_passages(self, texts: Sequence[str]) -> list[Vector | Error]:
        prompt = _prompt(self.texts, _PASSAGE)
        return each(lambda some: _embedded(self.texts, some, prompt), list(texts))

    def of_question(self, words: str) -> dict[str, Vector]:
        """The vector to look for in each column."""
        found = {}
        if self.pictures.info.patches_per_picture and self.pictures.info.max_tokens:
            found["image_vector"] = _embedded(
                self.pictures, [words], _prompt(self.pictures, _QUERY)
            )[0]
        if self.texts.info.max_tokens:
            found["text_vector"] = _embedded(self.texts, [words], _prompt(self.texts, _QUERY))[0]
        return found

    def of_example(self, image: Image) -> dict[str, Vector]:
        if not self.pictures.info.patches_per_picture:
            raise RequestError(f"{self.pictures.info.path} embeds no pictures")
        return {"image_vector": self.pictures.embed_image(image)}


def is_bundled_head(embedder: Embedder) -> bool:
    """Whether this is chiasm-mini, or another model of its kind."""
    return embedder.info.family == "smolvlm search head"


def fingerprint(embedder: Embedder) -> str:
    return fingerprint_of(embedder.info.path)


def fingerprint_of(path: str | os.PathLike[str]) -> str:
    """Tells models apart: the configuration, and sizes, begins and ends of the weight files."""
    folder = pathlib.Path(path)
    digest = hashlib.blake2b(digest_size=16)
    files = [folder] if folder.is_file() else sorted(folder.glob("*.safetensors"))
    for file in [*files, folder / "config.json"]:
        if not file.is_file():
            continue
        size = file.stat().st_size
        with open(file, "rb") as weights:
            digest.update(f"{file.name} {size}".encode() + weights.read(_ENDS))
            weights.seek(max(size - _ENDS, 0))
            digest.update(weights.read(_ENDS))
    return digest.hexdigest()


def model_name(name: str | os.PathLike[str] | None) -> str | None:
    """As it is kept in an index, to be found from any folder."""
    if name is None:
        return None
    text = os.fspath(name)
    return os.path.abspath(text) if os.path.exists(text) else text


def _prompt(embedder: Embedder, names: tuple[str, ...]) -> dict[str, Any]:
    """The setting of `embed_text` for a model that wants such a prompt."""
    known = getattr(embedder.info, "prompts", {})
    return next(({"prompt": name} for name in names if name in known), {})


def _embedded(embedder: Embedder, texts: list[str], prompt: dict[str, Any]) -> Any:
    """Rows of texts. One that is too long for the model gets the mean of its halves' rows."""
    try:
        return embedder.embed_text(texts, **prompt)
    except RequestError:
        if len(texts) > 1:
            return np.stack([_embedded(embedder, [text], prompt)[0] for text in texts])
        if len(texts[0]) < 2 * embedder.info.max_tokens // 8:
            raise  # not its length, then: a token is of a few bytes
    middle = len(texts[0]) // 2
    mean = sum(_embedded(embedder, [texts[0][:middle], texts[0][middle:]], prompt))
    return (mean / max(float(np.linalg.norm(mean)), 1e-12))[None].astype(np.float32)


def each(run: Callable[[list[Any]], Iterable[T]], inputs: list[Any]) -> list[T | Error]:
    """All in one batch; in halves where that fails, so that a bad one is alone in failing."""
    if not inputs:
        return []
    try:
        return list(run(inputs))
    except Error as e:
        if len(inputs) == 1:
            return [e]
    half = len(inputs) // 2
    return each(run, inputs[:half]) + each(run, inputs[half:])
