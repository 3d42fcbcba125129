"""Hits as a model gets them: pictures and words."""

from __future__ import annotations

import os
from typing import Any

from chiasm._media import Image
from chiasm.errors import Error, MediaError
from chiasm.rag._files import Found, read_whole
from chiasm.rag._hits import Hit
from chiasm.rag._readers import page_pixels
from chiasm.rag._video import frame_pixels

LOOKED_AT = ("picture", "page", "frame")


def picture_of(hit: Hit, thumbnail: bytes | None = None) -> Image:
    """The picture of a hit that is looked at, from its file, or else its thumbnail.

    Raises:
        MediaError: The file is gone, and there is no thumbnail.
    """
    try:
        if hit.kind == "frame":
            return frame_pixels(hit.file_path, hit.start_s or 0.0)
        format = "pdf" if hit.kind == "page" else "picture"
        data = read_whole(Found(hit.file_path, format, 0, 0))
        if hit.kind == "page":
            return page_pixels(data, (hit.page or 1) - 1)
        return data
    except Error as e:
        if thumbnail is None:
            raise MediaError(f"{hit.path}: {e}") from e
        return thumbnail


def words_of_source(
    hit: Hit, *, pictures: bool, thumbnail: bytes | None = None, number: int | None = None
) -> list[dict[str, Any]]:
    """Items of a message's content. A model that sees nothing gets a picture's caption."""
    name = os.path.basename(hit.path) + (f", {hit.place}" if hit.place else "")
    head = name if number is None else f"[{number}] {name}"
    if hit.kind not in LOOKED_AT:
        return [{"type": "text", "text": f"{head}:\n{hit.text}\n\n"}]
    if pictures:
        return [
            {"type": "text", "text": f"{head}:\n"},
            {"type": "image", "image": picture_of(hit, thumbnail)},
            {"type": "text", "text": "\n\n"},
        ]
    if hit.caption:
        return [{"type": "text", "text": f"{head}, a picture: {hit.caption}\n\n"}]
    return []
