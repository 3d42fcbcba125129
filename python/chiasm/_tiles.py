"""The tiles that a model sees of a picture, in pixels of the picture, and how they look over it."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from chiasm._drawing import draw_boxes, draw_lines, picture_of

if TYPE_CHECKING:
    import PIL.Image

    from chiasm import _chiasm
    from chiasm._media import Image


class Tile(NamedTuple):
    """A part of a picture that the encoder takes whole. The box is what it shows, in pixels of the
    upright picture; padding shows nothing."""

    left: float
    top: float
    right: float
    bottom: float
    width: int
    """Pixels that the encoder gets."""
    height: int
    tokens: int
    """Tokens of the prompt whose features come from it."""
    overview: bool
    """Whether it is the whole picture, beside its parts."""


@dataclasses.dataclass(frozen=True, eq=False)
class Tiles:
    """What a model makes of one picture."""

    width: int
    """Of the upright picture, pixels."""
    height: int
    rows: int
    """Of the grid of its parts; 0 where it is not cut."""
    cols: int
    tiles: list[Tile]
    """As the encoder meets them."""
    token_tiles: npt.NDArray[np.int32]
    """`[tokens]`: the tile of each; -1 for learned rows, such as the end of a line."""
    token_boxes: npt.NDArray[np.float32]
    """`[tokens, 4]`: left, top, right and bottom of what each shows; of no area where it shows no
    place."""

    @property
    def tokens(self) -> int:
        return len(self.token_tiles)

    @property
    def caption(self) -> str:
        """ "12 tiles + overview, 832 tokens"."""
        parts = sum(not tile.overview for tile in self.tiles)
        if self.rows == 0 and parts == 1:
            seen = f"whole, as {self.tiles[0].width} x {self.tiles[0].height} pixels"
        else:
            seen = _counted(parts, "tile") + " + overview" * (parts < len(self.tiles))
        return f"{seen}, {_counted(self.tokens, 'token')}"

    def grid(self) -> tuple[list[float], list[float]]:
        """Where the tokens of a picture that is not cut end, along x and along y; empty for others."""
        if self.rows:
            return [], []
        boxes = self.token_boxes[self.token_boxes[:, 2] > self.token_boxes[:, 0]].round(1)
        x, y = np.unique(boxes[:, [0, 2]]), np.unique(boxes[:, [1, 3]])
        return [float(at) for at in x], [float(at) for at in y]

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON types, without the boxes of tokens; "grid": their edges (see `grid`)."""
        x, y = self.grid()
        return {
            "width": self.width,
            "height": self.height,
            "rows": self.rows,
            "cols": self.cols,
            "tokens": self.tokens,
            "caption": self.caption,
            "tiles": [tile._asdict() for tile in self.tiles],
            "grid": {"x": x, "y": y},
        }

    def draw(self, image: Image, longest: int = 640) -> PIL.Image.Image:
        """The picture with its tiles over it, the longer side of `longest` pixels. Needs Pillow."""
        picture = picture_of(image, longest)
        scale = picture.width / self.width
        x, y = self.grid()
        lines = [(at, y[0], at, y[-1]) for at in x[1:-1]] + [(x[0], at, x[-1], at) for at in y[1:-1]]
        draw_lines(picture, [[side * scale for side in line] for line in lines])
        draw_boxes(picture, [[side * scale for side in tile[:4]] for tile in self.tiles])
        return picture


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def tiles_of(native: _chiasm.PictureTiles) -> Tiles:
    return Tiles(
        width=native.width,
        height=native.height,
        rows=native.rows,
        cols=native.cols,
        tiles=[Tile(*t.box, t.width, t.height, t.tokens, t.overview) for t in native.tiles],
        token_tiles=native.token_tiles,
        token_boxes=native.token_boxes,
    )
