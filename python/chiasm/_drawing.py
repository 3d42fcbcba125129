"""Lines, colours and words over pictures. Everything here needs Pillow."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from chiasm._media import data_url, file_path
from chiasm.errors import DeviceError, MediaError

if TYPE_CHECKING:
    import PIL.Image

    from chiasm._media import Image

_LINE, _EDGE = (255, 214, 10), (20, 20, 30)
"""Yellow on near-black is seen over light and dark alike."""
_RAMP = np.array([(38, 20, 84), (150, 40, 110), (232, 92, 48), (255, 236, 140)], np.float32)
"""From cold to hot, each step lighter than the one before."""


def pillow() -> Any:
    """Pillow's package; DeviceError where it is missing."""
    try:
        import PIL.Image
        import PIL.ImageDraw
        import PIL.ImageFont
        import PIL.ImageOps
    except ImportError as e:
        raise DeviceError("pictures are drawn with Pillow: pip install 'chiasm[images]'") from e
    return PIL


def picture_of(image: Image, longest: int) -> PIL.Image.Image:
    """The upright picture in RGB, its longer side of `longest` pixels. MediaError."""
    pil = pillow()
    try:
        if isinstance(image, np.ndarray):
            if image.dtype != np.uint8 or image.shape[2:] != (3,):
                raise ValueError("expected a uint8 array [height, width, 3]")
            opened = pil.Image.fromarray(image)
        elif isinstance(image, (bytes, bytearray, memoryview)):
            opened = pil.Image.open(io.BytesIO(bytes(image)))
        elif isinstance(image, str) and image.startswith("data:"):
            opened = pil.Image.open(io.BytesIO(data_url(image, "image")))
        elif isinstance(image, (str, os.PathLike)):
            opened = pil.Image.open(file_path(image))
        else:
            opened = image
        upright = pil.ImageOps.exif_transpose(opened).convert("RGB")
    except (
        *(OSError, ValueError, TypeError, AttributeError, SyntaxError),  # what Pillow raises
        pil.Image.DecompressionBombError,
    ) as e:
        raise MediaError(f"the picture cannot be drawn: {e}") from e
    scale = longest / max(upright.size)
    size = [max(1, round(side * scale)) for side in upright.size]
    return upright.resize(size, pil.Image.Resampling.LANCZOS)


def draw_lines(picture: PIL.Image.Image, lines: list[list[float]]) -> None:
    """Thin lines, each [left, top, right, bottom] in pixels, that let the picture through."""
    draw = pillow().ImageDraw.Draw(picture, "RGBA")
    for line in lines:
        draw.line([round(at) for at in line], fill=(*_LINE, 120), width=1)


def draw_boxes(picture: PIL.Image.Image, boxes: list[list[float]]) -> None:
    """Rectangles, each [left, top, right, bottom] in pixels, between dark edges."""
    draw = pillow().ImageDraw.Draw(picture)
    for colour, grow in ((_EDGE, 2), (_LINE, 1)):  # all edges first: none lies over a line
        for left, top, right, bottom in boxes:
            corners = [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)]
            draw.line(
                [(_inside(x, picture.width), _inside(y, picture.height)) for x, y in corners],
                fill=colour,
                width=2 * grow,
                joint="curve",
            )


def _inside(at: float, length: int) -> int:
    return min(max(round(at), 1), length - 2)


def heated(picture: PIL.Image.Image, heat: npt.NDArray[np.float32]) -> PIL.Image.Image:
    """The picture in grey under a map of numbers from 0 (cold) to 1 (hot), [rows, cols]."""
    pil = pillow()
    levels = pil.Image.fromarray((heat * 255).round().astype(np.uint8))
    smooth = np.asarray(levels.resize(picture.size, pil.Image.Resampling.BICUBIC), np.float32) / 255
    at = smooth * (len(_RAMP) - 1)
    below = np.minimum(at.astype(int), len(_RAMP) - 2)
    part = (at - below)[..., None]
    colours = _RAMP[below] * (1 - part) + _RAMP[below + 1] * part
    grey = np.asarray(picture.convert("L"), np.float32)[..., None]
    strength = 0.35 + 0.4 * smooth[..., None]
    return pil.Image.fromarray((grey * (1 - strength) + colours * strength).astype(np.uint8))


def sheet(
    cells: list[tuple[PIL.Image.Image, str]], columns: int, gap: int = 8, line: int = 18
) -> PIL.Image.Image:
    """Pictures of one size, each with a line of words under it, on white."""
    pil = pillow()
    font = pil.ImageFont.load_default(13)
    width, height = cells[0][0].size
    rows = (len(cells) + columns - 1) // columns
    columns = min(columns, len(cells))
    out = pil.Image.new(
        "RGB",
        (columns * (width + gap) + gap, rows * (height + line + gap) + gap),
        (255, 255, 255),
    )
    draw = pil.ImageDraw.Draw(out)
    for i, (picture, words) in enumerate(cells):
        x, y = gap + i % columns * (width + gap), gap + i // columns * (height + line + gap)
        out.paste(picture, (x, y))
        draw.text((x, y + height + 2), _fitted(draw, words, font, width), _EDGE, font)
    return out


def _fitted(draw: Any, words: str, font: Any, width: int) -> str:
    """As much of `words` as fits."""
    if draw.textlength(words, font) <= width:
        return words
    while words and draw.textlength(words + "…", font) > width:
        words = words[:-1]
    return words + "…"
