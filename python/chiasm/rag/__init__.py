"""Search what you have seen, and answer with evidence.

>>> from chiasm import rag
>>> index = rag.Index("my.lance")  # doctest: +SKIP
>>> index.add("holiday/", "papers/")  # doctest: +SKIP
>>> [hit.path for hit in index.search("a red bicycle")]  # doctest: +SKIP
>>> print(rag.answer("What does the invoice from March say?", index).text)  # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chiasm._lazy import at_first_use

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


# `import chiasm.rag` loads no store and no model.
__getattr__ = at_first_use(__name__, _HOMES)
