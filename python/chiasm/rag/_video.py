"""Key frames of videos: those that show something new."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from chiasm import _chiasm
from chiasm._media import path_text
from chiasm.errors import MediaError
from chiasm.rag._items import Item, Pixels, seen

_LOOKED_AT_EVERY = 1.0
"""Seconds between frames that are looked at; more in long videos, so that they stay few."""
_MOST_LOOKED_AT = 3600
_NEW = 14.0
"""Mean difference of two frames' cells, of 255, from which they show different things: a cut or a
pan has 30 and more, a person who speaks before a still wall 2 to 5."""
_LONGEST = 30.0
"""Seconds after which a frame is kept even where nothing has changed."""
_CELLS = 16
"""Frames are compared by the means of 16 x 16 cells."""
_BYTES_AT_ONCE = 64_000_000


def read_video(path: str) -> Iterator[Item]:
    """An item of kind "frame" for each key frame of the file; `start` and `end` say from when to when
    it stands for the video, seconds."""
    video = _chiasm.VideoFile(path_text(path))
    rate = _rate(video)
    step = max(_LOOKED_AT_EVERY, video.seconds / _MOST_LOOKED_AT)
    numbers = sorted({int(i * step * rate) for i in range(int(video.frames / rate / step) + 1)})
    numbers = [number for number in numbers if number < video.frames]
    at_once = max(1, _BYTES_AT_ONCE // (video.width * video.height * 3))
    kept: Item | None = None
    cells = np.full((_CELLS, _CELLS, 3), np.inf, np.float32)
    for first in range(0, len(numbers), at_once):
        part = numbers[first : first + at_once]
        for number, pixels in zip(part, video.read(part)):
            seconds = number / rate
            now = _cells(pixels)
            if kept is not None:
                assert kept.start is not None
                alike = float(np.abs(now - cells).mean()) < _NEW
                if alike and seconds - kept.start < _LONGEST:
                    continue
                kept.end = seconds
                yield kept
            picture = _chiasm.ImageInput.from_pixels(pixels, "frame")
            kept, cells = seen("frame", picture, start=seconds), now
    if kept is not None:
        kept.end = video.frames / rate
        yield kept


def frame_pixels(path: str, seconds: float) -> Pixels:
    """The frame of a video that stands at `seconds`, as it is indexed."""
    video = _chiasm.VideoFile(path_text(path))
    number = round(seconds * _rate(video))
    if not 0 <= number < video.frames:
        raise MediaError(f"no frame at {seconds:.1f} s: it lasts {video.seconds:.1f} s")
    return video.read([number])[0]


def _rate(video: _chiasm.VideoFile) -> float:
    """Frames a second; 24 where the file does not say, as everywhere here."""
    return video.fps if video.fps > 0 else 24.0


def _cells(pixels: Pixels) -> npt.NDArray[np.float32]:
    import PIL.Image

    small = PIL.Image.fromarray(pixels).resize((_CELLS, _CELLS), PIL.Image.Resampling.BOX)
    return np.asarray(small, np.float32)
