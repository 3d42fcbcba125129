"""Pictures and sounds in every form a user may hold them."""

from __future__ import annotations

import base64
import binascii
import os
import urllib.parse
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeGuard, Union

import numpy as np

from chiasm import _chiasm
from chiasm.errors import MediaError, RequestError

if TYPE_CHECKING:
    import PIL.Image

Image = Union[str, "os.PathLike[str]", bytes, "np.ndarray[Any, Any]", "PIL.Image.Image"]

Sound = Union[str, "os.PathLike[str]", bytes, "np.ndarray[Any, Any]"]


def is_image(value: Any) -> TypeGuard[Image]:
    """Whether `value` is one picture rather than several."""
    one = (str, os.PathLike, bytes, bytearray, memoryview, np.ndarray, _chiasm.ImageInput)
    return isinstance(value, one) or _is_pil(value)


def image_input(value: Any, name: str = "image") -> _chiasm.ImageInput:
    """A picture as the runtime takes it. `name` stands for it in errors where it has no path."""
    if isinstance(value, _chiasm.ImageInput):
        return value
    if isinstance(value, str) and value.startswith("data:"):
        return _chiasm.ImageInput.from_bytes(data_url(value, name), name)
    if isinstance(value, (str, os.PathLike)):
        return _chiasm.ImageInput.from_file(file_path(value))
    if isinstance(value, (bytes, bytearray, memoryview)):
        return _chiasm.ImageInput.from_bytes(bytes(value), name)
    if isinstance(value, np.ndarray):
        return _chiasm.ImageInput.from_pixels(value, name)
    if _is_pil(value):
        return _chiasm.ImageInput.from_pixels(_pil_pixels(value, name), name)
    raise MediaError(
        f"{name}: a {type(value).__name__} is no picture; give a path, bytes, a PIL image or a uint8"
        " array [height, width, 3]"
    )


def image_inputs(values: Any) -> list[_chiasm.ImageInput]:
    """The pictures of one request."""
    if values is None:
        return []
    if is_image(values) or not isinstance(values, Iterable):
        raise RequestError("images: expected a list of pictures")
    return [image_input(value, f"image {i + 1}") for i, value in enumerate(values)]


def sound_input(value: Any, rate: int | None = None, name: str = "sound") -> _chiasm.AudioInput:
    """A sound as the runtime takes it. `rate` belongs to samples alone."""
    if isinstance(value, tuple) and len(value) == 2 and rate is None:  # samples with their rate
        value, rate = value
    if isinstance(value, str) and value.startswith("data:"):
        return _chiasm.AudioInput.from_bytes(data_url(value, name), name)
    if isinstance(value, np.ndarray):
        if not isinstance(rate, (int, np.integer)) or not 0 < rate < 2**31:
            raise RequestError(f"{name}: samples need their rate, the samples a second")
        return _chiasm.AudioInput.from_samples(value, int(rate), name)
    if rate is not None:
        raise RequestError(f"{name}: a file tells its own rate; give none")
    if isinstance(value, (str, os.PathLike)):
        return _chiasm.AudioInput.from_file(file_path(value))
    if isinstance(value, (bytes, bytearray, memoryview)):
        return _chiasm.AudioInput.from_bytes(bytes(value), name)
    raise MediaError(
        f"{name}: a {type(value).__name__} is no sound; give a path, bytes or float32 samples"
    )


def sound_inputs(values: Any) -> list[_chiasm.AudioInput]:
    """The sounds of one request."""
    if values is None:
        return []
    if isinstance(values, (str, bytes, np.ndarray)) or not isinstance(values, Iterable):
        raise RequestError("audio: expected a list of sounds")
    return [sound_input(value, name=f"sound {i + 1}") for i, value in enumerate(values)]


def data_url(url: str, name: str) -> bytes:
    """The bytes of a data: URL."""
    head, comma, body = url.partition(",")
    if not comma:
        raise MediaError(f"{name}: a data: URL without a comma")
    try:
        if head.endswith(";base64"):
            return base64.b64decode(urllib.parse.unquote(body), validate=True)
        return urllib.parse.unquote_to_bytes(body)
    except (binascii.Error, ValueError) as e:
        raise MediaError(f"{name}: a data: URL with damaged base64: {e}") from None


def file_path(value: str | os.PathLike[str]) -> str:
    """The path of a file that is opened as it is; MediaError for what cannot be one."""
    path = path_text(value)
    if os.path.isdir(path):
        raise MediaError(f"{path}: is a folder, expected a file")
    return path


def path_text(value: str | os.PathLike[str]) -> str:
    """The path of a local file or folder, as UTF-8."""
    path = os.fspath(value)
    if isinstance(path, bytes):
        path = os.fsdecode(path)
    if path.startswith(("http://", "https://", "ftp://")):
        raise MediaError(f"{path}: nothing is fetched from a network; give a file or its bytes")
    if path.startswith("file://"):
        path = urllib.parse.unquote(urllib.parse.urlsplit(path).path)
    if "\0" in path:
        raise MediaError(f"{path!r}: not a path")
    try:
        path.encode()
    except UnicodeEncodeError:
        raise MediaError(
            f"{path!r}: a path that is not UTF-8; read the file and give bytes"
        ) from None
    return path


def _is_pil(value: Any) -> bool:
    """Without importing Pillow: a PIL image exists only where it is already imported."""
    return any(c.__name__ == "Image" and c.__module__ == "PIL.Image" for c in type(value).__mro__)


def _pil_pixels(image: Any, name: str) -> np.ndarray[Any, Any]:
    """Upright RGB, so that a file opened with Pillow gives what its path gives. Most pictures are
    both already: Pillow would copy them twice to find that out."""
    from PIL import ExifTags, ImageOps

    try:
        if image.getexif().get(ExifTags.Base.Orientation, 1) != 1:
            image = ImageOps.exif_transpose(image)
        return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))
    except (OSError, ValueError) as e:
        raise MediaError(f"{name}: Pillow cannot read it: {e}") from e
