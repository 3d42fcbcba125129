"""What a model shows of its inside: the tiles of a picture, the attention of an answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chiasm import _media
from chiasm._explain import Attention, Explanation, token_pieces
from chiasm._media import Image, Sound
from chiasm._messages import turn
from chiasm._options import integer, token_ids
from chiasm._requests import Prompt, RequestMaker
from chiasm._results import Result, result_of
from chiasm._tiles import Tiles, tiles_of
from chiasm.errors import RequestError


class Shown(RequestMaker):
    """What `Model` has for looking inside."""

    def tiles(self, image: Image, *, pictures: int = 1) -> Tiles:
        """The tiles that the model sees of a picture, in pixels of the picture, and the place of each
        of its tokens. Reads the header only.

        Args:
            image: The picture.
            pictures: How many the prompt holds: LLaVA-OneVision cuts a lone one only.

        Raises:
            RequestError: The model sees no pictures.
            MediaError: The picture cannot be read.
        """
        count = integer("pictures", pictures, 1, 1 << 20)
        return tiles_of(self._native.tiles(_media.image_input(image), count))

    def attention(
        self,
        prompt: Prompt,
        answer: Result | Sequence[int],
        *,
        images: Sequence[Image] | None = None,
        audio: Sequence[Sound] | None = None,
        videos: Sequence[Any] | None = None,
        layers: Sequence[int] | None = None,
        adapter: str | None = None,
    ) -> Attention:
        """What the tokens of an answer attended to: a pass over prompt and answer of its own, with
        float32 keys and values, which costs as much as the prompt and touches no other request.

        Args:
            prompt: As for `generate`, and media likewise.
            answer: Its result, or token ids.
            layers: Of the decoder, counted from 0, which are averaged; None: all that attend.

        Raises:
            RequestError: There is no such layer, the answer is empty, the two are too long, or the
                decoder looks at an encoder.
            DeviceError: The model runs on a device.
            MediaError: A medium cannot be read.
        """
        ids = answer.token_ids if isinstance(answer, Result) else token_ids("answer", answer)
        options = self._options(adapter=adapter)
        request = self._request(prompt, images, options, audio=audio, videos=videos)
        return Attention(*self._native.attention(request, ids, _layers(layers)))

    def explain(
        self,
        image: Image,
        question: str = "Describe this image.",
        *,
        layers: Sequence[int] | None = None,
        **settings: Any,
    ) -> Explanation:
        """Answers a question about a picture as `ask` does, the same tokens, and tells for each of them
        where in the picture it looked (see `attention`).

        Raises:
            RequestError, MediaError, DeviceError: As `ask` and `attention`.
        """
        if not _media.is_image(image):
            raise RequestError("explain takes one picture")
        chosen = _layers(layers)
        request = self._request([turn(question)], [image], self._options(**settings), "image 1")
        result = result_of(self._native.generate(request))
        tiles = self.tiles(image)
        attention = tiles.token_boxes[:0, :0].reshape(0, tiles.tokens)
        if result.token_ids:
            weights, (rows, *_) = self._native.attention(request, result.token_ids, chosen)
            attention = weights[:, rows]
        pieces = token_pieces(lambda ids: self._native.detokenize(ids, True), result.token_ids)
        return Explanation(result, pieces, attention, tiles)


def _layers(layers: Sequence[int] | None) -> list[int]:
    """An empty list stands for all of them, in the runtime alone."""
    if layers is None:
        return []
    if not isinstance(layers, Sequence) or isinstance(layers, str) or not layers:
        raise RequestError("layers: expected a list of layers of the decoder, or None for all")
    return [integer(f"layers[{i}]", layer, 0, 1 << 20) for i, layer in enumerate(layers)]
