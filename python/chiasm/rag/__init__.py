"""Search what you have seen.

>>> from chiasm import rag
>>> index = rag.Index("my.lance")  # doctest: +SKIP
>>> index.add("holiday/", "papers/")  # doctest: +SKIP
>>> [hit.path for hit in index.search("a red bicycle")]  # doctest: +SKIP
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from chiasm.rag._hits import Hit
    from chiasm.rag._index import Index
    from chiasm.rag._indexing import Problem, Report

_HOMES = {
    "_hits": ["Hit"],
    "_index": ["Index"],
    "_indexing": ["Problem", "Report"],
}
__all__ = [
    "Hit",
    "Index",
    "Problem",
    "Report",
]


def __getattr__(name: str) -> Any:
    """Finds a name at first use, so that `import chiasm.rag` loads no store and no model."""
    for home, names in _HOMES.items():
        if name in names:
            value = getattr(importlib.import_module(f"chiasm.rag.{home}"), name)
            globals()[name] = value
            return value
    raise AttributeError(f"module 'chiasm.rag' has no attribute {name!r}")
