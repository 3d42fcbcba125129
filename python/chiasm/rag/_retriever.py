"""`Retriever`: what an index holds that has to do with a question."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from chiasm._options import number
from chiasm.errors import RequestError
from chiasm.rag._hits import Hit
from chiasm.rag._index import Index
from chiasm.rag._relevance import is_relevant
from chiasm.rag._sources import words_of_source

if TYPE_CHECKING:
    from chiasm._model import Model

Rerank = Callable[[str, list[Hit]], Sequence[float]]
"""Scores of hits for a question, higher is better."""
_CANDIDATES = 4
"""Hits that a reranker gets for each one that is wanted."""


class Retriever:
    """Finds sources for a question and leaves out what has nothing to do with it.

    >>> Retriever(index, limit=4).retrieve("What does the invoice say?")  # doctest: +SKIP

    Args:
        index: Where to look.
        limit: Sources at most.
        mode, kinds, where: As for `Index.search`.
        min_similarity: A hit's cosine at least; None: a floor for the kind of model. Hits that hold
            half of the question's words count in any case.
        rerank: Puts candidates into another order: a `ModelReranker` or any such function.
    """

    def __init__(
        self,
        index: Index,
        *,
        limit: int = 6,
        mode: str = "hybrid",
        kinds: Sequence[str] = (),
        where: str = "",
        min_similarity: float | None = None,
        rerank: Rerank | None = None,
    ):
        self.index = index
        self.limit = limit
        self._search = {"mode": mode, "kinds": kinds, "where": where}
        self._least = None if min_similarity is None else number("min_similarity", min_similarity)
        self._rerank = rerank

    def retrieve(self, question: str) -> list[Hit]:
        """Relevant hits, best first; none where nothing is."""
        many = self.limit if self._rerank is None else _CANDIDATES * self.limit
        hits = self.index.search(question, limit=max(2 * many, 10), **self._search)  # type: ignore[arg-type]
        spaces = self.index.embedders
        kept = [h for h in hits if is_relevant(question, h, spaces, self._least)][:many]
        if self._rerank is not None and kept:
            scores = np.asarray(self._rerank(question, kept), np.float64)
            if scores.shape != (len(kept),) or np.isnan(scores).any():
                raise RequestError(f"rerank: expected {len(kept)} numbers, one for each hit")
            kept = [kept[i] for i in np.argsort(-scores, kind="stable")]
        return kept[: self.limit]


class ModelReranker:
    """Asks a model of each candidate whether it helps: the odds of "Yes" against "No"."""

    def __init__(self, model: Model):
        self._model = model

    def __call__(self, question: str, hits: list[Hit]) -> list[float]:
        return [self._odds(question, hit) for hit in hits]

    def _odds(self, question: str, hit: Hit) -> float:
        sees = bool(self._model.info.image_token)
        content: list[dict[str, Any]] = words_of_source(hit, pictures=sees)
        ask = f"Does this help to answer the question: {question}\nAnswer Yes or No."
        messages = [{"role": "user", "content": [*content, {"type": "text", "text": ask}]}]
        yes, no = self._model.score(messages, ["Yes", "No"])
        return yes - no
