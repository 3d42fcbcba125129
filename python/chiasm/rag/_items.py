"""What a file holds: items, each of which becomes a row."""

from __future__ import annotations

import dataclasses
import io
from typing import Any

import numpy as np
import numpy.typing as npt

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
    pixels: Pixels | None = None
    """[height, width, 3], RGB, until it is embedded."""
    width: int | None = None
    height: int | None = None
    thumbnail: bytes | None = None
    caption: str = ""
    image_vector: npt.NDArray[np.float32] | None = None
    text_vector: npt.NDArray[np.float32] | None = None

    @property
    def held(self) -> int:
        """Bytes of what is large: pixels."""
        return 0 if self.pixels is None else self.pixels.nbytes

    def released(self) -> None:
        self.pixels = None


def seen(kind: str, pixels: Pixels, **place: Any) -> Item:
    """An item that is looked at, with its thumbnail."""
    height, width = pixels.shape[:2]
    return Item(
        kind, pixels=pixels, width=width, height=height, thumbnail=thumbnail(pixels), **place
    )


def thumbnail(pixels: Pixels) -> bytes:
    """A small JPEG."""
    import PIL.Image

    image = PIL.Image.fromarray(pixels)
    image.thumbnail((_THUMBNAIL, _THUMBNAIL), reducing_gap=1.5)
    out = io.BytesIO()
    image.save(out, "JPEG", quality=80)
    return out.getvalue()
