"""Chiasm: pictures and words in, words out.

>>> import chiasm
>>> model = chiasm.load("HuggingFaceTB/SmolVLM-256M-Instruct")  # doctest: +SKIP
>>> model.caption("photo.jpg")  # doctest: +SKIP
"""

from chiasm._chiasm import __version__
from chiasm._load import load, load_embedder
from chiasm._model import Model
from chiasm._results import ModelInfo, Plan, Result, Timings, TokenLogprob, Usage
from chiasm._stream import Stream
from chiasm.errors import (
    DeviceError,
    Error,
    Interrupted,
    MediaError,
    ModelError,
    RequestError,
)

__all__ = [
    "DeviceError",
    "Error",
    "Interrupted",
    "MediaError",
    "Model",
    "ModelError",
    "ModelInfo",
    "Plan",
    "RequestError",
    "Result",
    "Stream",
    "Timings",
    "TokenLogprob",
    "Usage",
    "__version__",
    "load",
    "load_embedder",
]
