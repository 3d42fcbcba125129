"""What a file holds: items, each of which becomes a row."""

from __future__ import annotations

import dataclasses
import io
import math
from typing import Any

import numpy as np
import numpy.typing as npt

from chiasm import _chiasm

Pixels = npt.NDArray[np.uint8]

_THUMBNAIL = 192
"""Pixels of a thumbnail's longer side: about 7 kB."""


@dataclasses.dataclass
class Item:
    """A picture, page, passage, stretch of speech or frame."""

    kind: str
    """picture, page, passage, speech or frame."""
    text: str = ""
    """What a passage says."""
    page: int | None = None
    """From 1."""
    line: int | None = None
    """A passage's first line, from 1."""
    start: float | None = None
    """Seconds."""
    end: float | None = None
    picture: _chiasm.ImageInput | None = None
    """Decoded, until it is embedded."""
    width: int | None = None
    height: int | None = None
    thumbnail: bytes | None = None
    caption: str = ""
    image_vector: npt.NDArray[np.float32] | None = None
    text_vector: npt.NDArray[np.float32] | None = None

    @property
    def held(self) -> int:
        """Bytes of what is large: pixels."""
        return 0 if self.picture is None else 3 * math.prod(self.picture.size)

    def released(self) -> None:
        self.picture = None


def seen(kind: str, picture: _chiasm.ImageInput, **place: Any) -> Item:
    """An item that is looked at, with its thumbnail."""
    width, height = picture.size
    return Item(
        kind, picture=picture, width=width, height=height, thumbnail=thumbnail(picture), **place
    )


def thumbnail(picture: _chiasm.ImageInput) -> bytes:
    """A small JPEG."""
    import PIL.Image

    out = io.BytesIO()
    PIL.Image.fromarray(picture.thumbnail(_THUMBNAIL)).save(out, "JPEG", quality=80)
    return out.getvalue()
