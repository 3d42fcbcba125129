"""Narrower numbers for stored vectors."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from chiasm.errors import RequestError

FORMATS = ("float32", "float16", "int8")


def narrowed(vectors: npt.NDArray[np.float32], numbers: str) -> npt.NDArray[Any]:
    """`vectors` `[..., size]` as float32, float16 or int8. An int8 vector keeps its direction: its
    largest number is 127 or -127, and products are divided by the lengths of both vectors.

    Raises:
        RequestError: `numbers` is none of FORMATS.
    """
    if numbers == "float32":
        return vectors
    if numbers == "float16":
        return vectors.astype(np.float16)
    if numbers != "int8":
        raise RequestError(f"numbers {numbers!r} are not known; use {', '.join(FORMATS)}")
    largest = np.abs(vectors).max(axis=-1, keepdims=True)
    levels: npt.NDArray[Any] = np.rint(vectors * (127 / np.maximum(largest, 1e-12)))
    return levels.astype(np.int8)
