"""What an answer attended to, and how that looks over the picture."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from chiasm._drawing import heated, picture_of, sheet
from chiasm._results import Result
from chiasm._tiles import Tiles
from chiasm.errors import RequestError

if TYPE_CHECKING:
    import PIL.Image

    from chiasm._media import Image

FloatArray = npt.NDArray[np.float32]
_CELLS = 96
"""Cells along the longer side of a heat map: finer than any model's tokens of a small picture."""


class Attention(NamedTuple):
    """What the tokens of an answer attended to."""

    weights: FloatArray
    """`[answer tokens, rows]`, the rows of the prompt and of the answer but its last token: of the
    row that a token was drawn from, the softmax weights of all rows up to it, averaged over heads
    and layers. The sum is 1."""
    pictures: list[list[int]]
    """The rows of each picture."""


class Word(NamedTuple):
    """A word of an answer: its tokens are those from `first` to before `end`."""

    text: str
    first: int
    end: int


@dataclasses.dataclass(frozen=True, eq=False)
class Explanation:
    """An answer about a picture, and where in it each of its tokens looked."""

    result: Result
    pieces: list[str]
    """The text that each token adds to the answer."""
    attention: FloatArray
    """`[answer tokens, picture tokens]`: the part of its attention that a token gave to each token
    of the picture, averaged over heads and layers. What is missing to 1 went to words."""
    tiles: Tiles
    """Where the picture's tokens are."""

    @property
    def words(self) -> list[Word]:
        """Tokens from one white space to the next."""
        out: list[Word] = []
        for i, piece in enumerate(self.pieces):
            if out and not piece[:1].isspace():
                text, first, _ = out.pop()
                out.append(Word(text + piece, first, i + 1))
            else:
                out.append(Word(piece, i, i + 1))
        return [Word(text.strip(), first, end) for text, first, end in out if text.strip()]

    def heat(self, first: int = 0, end: int | None = None) -> FloatArray:
        """float32 `[rows, cols]` over the upright picture, its longer side of 96 cells: the part of
        the attention that fell on each, mean of the tokens from `first` to before `end`. What a
        token of the picture got is spread over what it shows, so that tiles and an overview add up;
        tokens that show no place are left out."""
        tokens = self.attention[first:end]
        if len(tokens) == 0:
            raise RequestError(f"no tokens from {first} to {end} of {len(self.attention)}")
        weights = tokens.mean(axis=0)
        left, top, right, bottom = self.tiles.token_boxes.T
        area = (right - left) * (bottom - top)
        placed = area > 0
        longer = max(self.tiles.width, self.tiles.height)
        sides = [max(1, round(_CELLS * s / longer)) for s in (self.tiles.height, self.tiles.width)]
        y = _overlaps(top[placed], bottom[placed], self.tiles.height, sides[0])
        x = _overlaps(left[placed], right[placed], self.tiles.width, sides[1])
        heat: FloatArray = ((weights[placed] / area[placed])[:, None] * y).T @ x
        return heat

    def draw(
        self,
        image: Image,
        *,
        side: int = 192,
        columns: int = 5,
        most: int = 40,
        tokens: bool = False,
    ) -> PIL.Image.Image:
        """A sheet of the picture under the heat map of each word, the first `most` of them; under it
        the word and the part of its attention that went to the picture. Colours go from no
        attention to the most that a place got from that word. Needs Pillow.

        Args:
            image: The picture that was asked about.
            side: Pixels of the longer side of each.
            columns: How many stand beside each other.
            most: The most words that are drawn.
            tokens: One for each token instead of each word.
        """
        words = self.words
        if tokens:
            words = [Word(piece.strip(), i, i + 1) for i, piece in enumerate(self.pieces)]
        words = words[:most]
        if not words:
            raise RequestError("the answer has no words to draw")
        picture = picture_of(image, side)
        cells = []
        for word in words:
            heat = self.heat(word.first, word.end)
            share = self.attention[word.first : word.end].sum(axis=1).mean()
            top = float(heat.max())
            shown = heated(picture, heat / top if top > 0 else heat)
            cells.append((shown, f"{word.text}  {share:.0%}"))
        return sheet(cells, columns)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON types: the result, and words with the part of their attention that went to the
        picture."""
        words = [
            {
                "text": word.text,
                "tokens": [word.first, word.end],
                "picture": float(self.attention[word.first : word.end].sum(axis=1).mean()),
            }
            for word in self.words
        ]
        return {**self.result.as_dict(), "words": words, "tiles": self.tiles.as_dict()}


def _overlaps(begin: FloatArray, end: FloatArray, length: int, cells: int) -> FloatArray:
    """[spans, cells]: how many pixels of each cell lie in each span."""
    edges = np.linspace(0, length, cells + 1, dtype=np.float32)
    low = np.maximum(begin[:, None], edges[:-1])
    high = np.minimum(end[:, None], edges[1:])
    inside: FloatArray = np.maximum(high - low, 0)
    return inside


def token_pieces(detokenize: Callable[[list[int]], str], ids: Sequence[int]) -> list[str]:
    """What each token adds to the text: a character in several tokens comes with the last of them."""
    out: list[str] = []
    before = ""
    for end in range(1, len(ids) + 1):
        text = detokenize(list(ids[:end]))
        if end < len(ids):
            text = text.rstrip("\ufffd")
        shared = len(os.path.commonprefix([before, text]))
        out.append(text[shared:])
        before = text if len(text) > len(before) else before
    return out
