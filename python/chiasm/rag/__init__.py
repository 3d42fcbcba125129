"""Search what you have seen, and answer with evidence.

>>> from chiasm import rag
>>> index = rag.Index("my.lance")  # doctest: +SKIP
>>> index.add("holiday/", "papers/")  # doctest: +SKIP
>>> [hit.path for hit in index.search("a red bicycle")]  # doctest: +SKIP
>>> print(rag.answer("What does the invoice from March say?", index).text)  # doctest: +SKIP
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from chiasm.rag._answer import Answer, Citation, answer
    from chiasm.rag._hits import Hit
    from chiasm.rag._index import Index
    from chiasm.rag._indexing import Problem, Report
    from chiasm.rag._retriever import ModelReranker, Retriever

_HOMES = {
    "_answer": ["Answer", "Citation", "answer"],
    "_hits": ["Hit"],
    "_index": ["Index"],
    "_indexing": ["Problem", "Report"],
    "_retriever": ["ModelReranker", "Retriever"],
}
__all__ = [
    "Answer",
    "Citation",
    "Hit",
    "Index",
    "ModelReranker",
    "Problem",
    "Report",
    "Retriever",
    "answer",
]


def __getattr__(name: str) -> Any:
    """Finds a name at first use, so that `import chiasm.rag` loads no store and no model."""
    for home, names in _HOMES.items():
        if name in names:
            value = getattr(importlib.import_module(f"chiasm.rag.{home}"), name)
            globals()[name] = value
            return value
    raise AttributeError(f"module 'chiasm.rag' has no attribute {name!r}")
