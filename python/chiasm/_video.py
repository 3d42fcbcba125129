"""Videos in every form a user may hold them."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from chiasm import _chiasm, _media
from chiasm.errors import MediaError, RequestError

_SUFFIXES = {".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".flv"}
_SUFFIXES |= {".wmv", ".ogv", ".3gp"}


@dataclasses.dataclass(frozen=True)
class Video:
    """A video, and which of its frames a model sees. It may stand wherever a picture may.

    `source` is the path of a file (MP4, MOV, MKV, WebM, AVI, MPEG, ...), its bytes, a folder of
    pictures ordered by name, a list of pictures, or a uint8 array `[frames, height, width, 3]`.
    Without `fps` and `num_frames` as many frames are taken as the model's own settings say; of
    pictures without a `frame_rate`, all.
    """

    source: Any
    fps: float | None = None
    """Frames to take for each second of the video."""
    num_frames: int | None = None
    """Frames to take; for SmolVLM at most."""
    frame_rate: float | None = None
    """Frames a second of given pictures; a file tells its own."""
    all_frames: bool = False
    """Take every frame."""


def is_video(name: str) -> bool:
    """Whether a file is a video, by its name."""
    return os.path.splitext(name)[1].lower() in _SUFFIXES


def video_of(value: Any) -> Video:
    """A video from what stands for one in `videos`: also `(frames, frame_rate)`."""
    if isinstance(value, Video):
        return value
    if isinstance(value, tuple) and len(value) == 2 and isinstance(value[1], (int, float)):
        return Video(value[0], frame_rate=value[1])
    return Video(value)


def video_of_item(item: Mapping[str, Any], where: str) -> Video | None:
    """What a message's item says of its video; None when it leaves it to `videos`."""
    value = item.get("video_url")
    if isinstance(value, Mapping):
        value = value.get("url")
    for key in ("video", "url", "path"):
        value = item.get(key) if value is None else value
    if value is None:
        if item.get("type") != "video":
            raise RequestError(f"{where}: holds no video")
        return None
    video = video_of(value)
    asked = {name: item[name] for name in ("fps", "num_frames", "frame_rate") if name in item}
    every = item.get("do_sample_frames") is False or video.all_frames
    return dataclasses.replace(video, all_frames=every, **asked)


def video_input(value: Any, name: str = "video") -> _chiasm.VideoInput:
    """A video as the runtime takes it. `name` stands for it in errors where it has no path."""
    video = video_of(value)
    native = _native(video, name)
    native.choose(
        frames=_number(name, "num_frames", video.num_frames, int),
        fps=_number(name, "fps", video.fps, float),
        all=bool(video.all_frames),
    )
    return native


def video_inputs(values: Any) -> list[_chiasm.VideoInput]:
    """The videos of one request."""
    return [video_input(v, f"video {i + 1}") for i, v in enumerate(listed_videos(values))]


def listed_videos(values: Any) -> list[Any]:
    if values is None:
        return []
    if isinstance(values, (str, bytes, np.ndarray, Video)) or not isinstance(values, Iterable):
        raise RequestError("videos: expected a list of videos")
    return list(values)


def _native(video: Video, name: str) -> _chiasm.VideoInput:
    source, rate = video.source, _number(name, "frame_rate", video.frame_rate, float)
    if isinstance(source, str) and source.startswith("data:"):
        source = _media.data_url(source, name)
    if isinstance(source, (str, os.PathLike)):
        path = _media.path_text(source)
        if os.path.isdir(path):
            return _chiasm.VideoInput.from_folder(path, rate)
        _refuse_rate(name, rate)
        return _chiasm.VideoInput.from_file(path)
    if isinstance(source, (bytes, bytearray, memoryview)):
        _refuse_rate(name, rate)
        return _chiasm.VideoInput.from_bytes(bytes(source), name)
    if isinstance(source, np.ndarray) and source.ndim != 4:
        raise MediaError(
            f"{name}: the array has the shape {source.shape}, expected [frames, height, width, 3]"
        )
    if isinstance(source, (np.ndarray, Sequence)):
        frames = [_media.image_input(f, f"frame {i}") for i, f in enumerate(source)]
        return _chiasm.VideoInput.from_frames(frames, rate, name)
    raise MediaError(
        f"{name}: a {type(source).__name__} is no video; give a path, bytes, pictures or a uint8"
        " array [frames, height, width, 3]"
    )


def _refuse_rate(name: str, rate: float) -> None:
    if rate:
        raise RequestError(f"{name}: a file tells its own frame rate; give none")


def _number(name: str, key: str, value: Any, kind: type) -> Any:
    """0 for None; a positive number that is one. RequestError."""
    if value is None:
        return kind(0)
    numbers = (int, np.integer) if kind is int else (int, float, np.integer, np.floating)
    if isinstance(value, bool) or not isinstance(value, numbers) or not 0 < value < 2**31:
        raise RequestError(f"{name}: {key} is {value!r}, expected a number over 0")
    return kind(value)
