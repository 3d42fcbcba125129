"""Chiasm: pictures and words in, words out.

>>> import chiasm
>>> model = chiasm.load("HuggingFaceTB/SmolVLM-256M-Instruct")  # doctest: +SKIP
>>> model.caption("photo.jpg")  # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chiasm._lazy import at_first_use

if TYPE_CHECKING:
    from chiasm._adapters import AdapterInfo
    from chiasm._boxes import Box, Point
    from chiasm._chiasm import __version__
    from chiasm._devices import DeviceState
    from chiasm._embedder import Embedder, EmbedderInfo
    from chiasm._explain import Attention, Explanation, Word
    from chiasm._load import load, load_embedder, load_retriever
    from chiasm._model import Model
    from chiasm._quantize import quantize
    from chiasm._results import (
        DeviceMemory,
        ModelInfo,
        Plan,
        Result,
        Timings,
        TokenLogprob,
        Usage,
    )
    from chiasm._retriever import Retriever, RetrieverInfo, max_sim
    from chiasm._stream import Stream
    from chiasm._tiles import Tile, Tiles
    from chiasm._verify import Report, verify
    from chiasm._video import Video
    from chiasm.errors import (
        DeviceError,
        Error,
        Interrupted,
        MediaError,
        ModelError,
        RequestError,
    )

__all__ = [
    "AdapterInfo",
    "Attention",
    "Box",
    "DeviceError",
    "DeviceMemory",
    "DeviceState",
    "Embedder",
    "EmbedderInfo",
    "Error",
    "Explanation",
    "Interrupted",
    "MediaError",
    "Model",
    "ModelError",
    "ModelInfo",
    "Plan",
    "Point",
    "Report",
    "RequestError",
    "Result",
    "Retriever",
    "RetrieverInfo",
    "Stream",
    "Tile",
    "Tiles",
    "Timings",
    "TokenLogprob",
    "Usage",
    "Video",
    "Word",
    "__version__",
    "load",
    "load_embedder",
    "load_retriever",
    "max_sim",
    "quantize",
    "verify",
]

_HOMES = {
    "_adapters": ["AdapterInfo"],
    "_boxes": ["Box", "Point"],
    "_chiasm": ["__version__"],
    "_devices": ["DeviceState"],
    "_embedder": ["Embedder", "EmbedderInfo"],
    "_explain": ["Attention", "Explanation", "Word"],
    "_load": ["load", "load_embedder", "load_retriever"],
    "_model": ["Model"],
    "_quantize": ["quantize"],
    "_results": [
        "DeviceMemory",
        "ModelInfo",
        "Plan",
        "Result",
        "Timings",
        "TokenLogprob",
        "Usage",
    ],
    "_retriever": ["Retriever", "RetrieverInfo", "max_sim"],
    "_stream": ["Stream"],
    "_tiles": ["Tile", "Tiles"],
    "_verify": ["Report", "verify"],
    "_video": ["Video"],
    "errors": ["DeviceError", "Error", "Interrupted", "MediaError", "ModelError", "RequestError"],
}


# Finds a name in its module at first use: the command line must be able to hear Ctrl-C before
# NumPy and the extension are loaded, which takes longer than a finger.
__getattr__ = at_first_use(__name__, _HOMES, ("errors", "rag"))


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
