"""`answer`: a question answered from an index, with the sources that it rests on."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from chiasm import _load
from chiasm._options import integer, utf8
from chiasm.errors import RequestError
from chiasm.rag._hits import Hit
from chiasm.rag._index import Index
from chiasm.rag._retriever import Retriever
from chiasm.rag._sources import LOOKED_AT, picture_of, words_of_source

if TYPE_CHECKING:
    from chiasm._model import Model

NOTHING_FOUND = "Nothing in the index answers this."
_STYLES = ("auto", "together", "one")
_SMALL_CONTEXT = 4096
"""Tokens below which a model is asked about one source at a time."""
_ORDER = (
    "Answer the question from these sources alone. After each statement cite its source as [1], [2]"
    " and so on. If the sources do not hold the answer, say only: I cannot tell.\n\nQuestion: "
)
_LOOKUP = 8
"""Tokens guessed ahead: answers quote their sources."""
_CANNOT_TELL = re.compile(r"\W*i (?:cannot|can't|can not) tell\b", re.IGNORECASE)
_CITED = re.compile(r"\[(\d{1,3})\]")


@dataclasses.dataclass(frozen=True)
class Citation:
    """A numbered source."""

    number: int
    """As the answer cites it, from 1."""
    hit: Hit

    @property
    def name(self) -> str:
        """The file, and the page, line or time in it."""
        return self.hit.name

    def as_dict(self) -> dict[str, Any]:
        return {"number": self.number, "name": self.name, **self.hit.as_dict()}


@dataclasses.dataclass(frozen=True)
class Answer:
    """An answer and what it rests on."""

    text: str
    refused: bool
    """Nothing relevant was found, or the model says that the sources do not tell."""
    citations: list[Citation]
    """What the model cites, or where it cites nothing all that it was given. None of a refusal."""
    sources: list[Citation]
    """All that the model was given."""
    prompt_tokens: int

    def as_dict(self) -> dict[str, Any]:
        """The same as plain JSON types."""
        return {
            "text": self.text,
            "refused": self.refused,
            "citations": [c.as_dict() for c in self.citations],
            "sources": [c.as_dict() for c in self.sources],
            "prompt_tokens": self.prompt_tokens,
        }


def answer(
    question: str,
    index: Index | Retriever,
    *,
    model: Model | None = None,
    query: str | None = None,
    style: str = "auto",
    max_tokens: int = 256,
    **settings: Any,
) -> Answer:
    """Retrieves sources, gives the model as many as its context holds, and cites them.

    Args:
        question: What is asked.
        index: Where to look; a `Retriever` with settings of its own.
        model: Who answers; None: the bundled model.
        query: What to look for, where that is not the question itself.
        style: "together": all sources in one prompt, from which the model cites by number. "one":
            the question is asked of one source after the other until one tells; for models of short
            context, which were not made to cite. "auto": by the context.
        max_tokens, settings: As for `Model.generate`.

    Raises:
        RequestError: A setting is out of range, or the question does not fit the context.
    """
    if style not in _STYLES:
        raise RequestError(f'style is "{style}", expected one of {", ".join(_STYLES)}')
    utf8("question", question)
    limit = integer("max_tokens", max_tokens, 1)
    retriever = index if isinstance(index, Retriever) else Retriever(index)
    hits = retriever.retrieve(question if query is None else query)
    if not hits:
        return Answer(NOTHING_FOUND, True, [], [], 0)
    model = _load.load() if model is None else model
    if style == "auto":
        style = "one" if model.info.max_context < _SMALL_CONTEXT else "together"
    if settings.get("num_beams", 1) == 1:  # beams are not guessed ahead
        settings = {"prompt_lookup": _LOOKUP} | settings
    asked = _Asked(question, model, limit, retriever.index.thumbnails(hits), settings)
    return asked.one_by_one(hits) if style == "one" else asked.together(hits)


@dataclasses.dataclass(frozen=True)
class _Asked:
    question: str
    model: Model
    max_tokens: int
    thumbnails: dict[str, bytes]
    settings: dict[str, Any]

    def together(self, hits: Sequence[Hit]) -> Answer:
        content, sources, tokens = self._packed(hits)
        if not sources:
            return Answer(NOTHING_FOUND, True, [], [], 0)
        text = self._generate(content)
        if _CANNOT_TELL.match(text):
            return Answer(text, True, [], sources, tokens)
        numbers = {int(number) for number in _CITED.findall(text)}
        cited = [source for source in sources if source.number in numbers]
        return Answer(text, False, cited or sources, sources, tokens)

    def one_by_one(self, hits: Sequence[Hit]) -> Answer:
        seen: list[Citation] = []
        text, tokens = NOTHING_FOUND, 0
        for hit in hits:
            content = self._alone(hit)
            count = None if content is None else self._tokens(content)
            if content is None or count is None:
                continue
            tokens += count
            seen.append(Citation(len(seen) + 1, hit))
            text = self._generate(content)
            if not _CANNOT_TELL.match(text):
                return Answer(text, False, [seen[-1]], seen, tokens)
        return Answer(text, True, [], seen, tokens)

    def _packed(self, hits: Sequence[Hit]) -> tuple[list[dict[str, Any]], list[Citation], int]:
        """Sources in their order, each one that the plan still finds room for."""
        held: list[dict[str, Any]] = []
        sources: list[Citation] = []
        tokens = 0
        for hit in hits:
            item = self._words(hit, len(sources) + 1)
            count = self._tokens([*held, *item, self._order()]) if item else None
            if count is None:
                continue
            held += item
            tokens = count
            sources.append(Citation(len(sources) + 1, hit))
        return [*held, self._order()], sources, tokens

    def _alone(self, hit: Hit) -> list[dict[str, Any]] | None:
        """The question after one source, as a model of pictures was taught to be asked."""
        ask = {"type": "text", "text": self.question}
        if hit.kind in LOOKED_AT:
            if not self.model.info.image_token:
                return None
            picture = picture_of(hit, self.thumbnails.get(hit.id))
            return [{"type": "image", "image": picture}, ask]
        return [{"type": "text", "text": f"{hit.text}\n\n"}, ask]

    def _words(self, hit: Hit, number: int) -> list[dict[str, Any]]:
        return words_of_source(
            hit,
            pictures=bool(self.model.info.image_token),
            thumbnail=self.thumbnails.get(hit.id),
            number=number,
        )

    def _order(self) -> dict[str, Any]:
        return {"type": "text", "text": _ORDER + self.question}

    def _tokens(self, content: list[dict[str, Any]]) -> int | None:
        """Tokens of a prompt, or None where it and the answer do not fit the context."""
        try:
            plan = self.model.plan(_messages(content), max_tokens=self.max_tokens)
        except RequestError:
            return None
        fits = plan.tokens + self.max_tokens <= self.model.info.max_context
        return plan.tokens if fits else None

    def _generate(self, content: list[dict[str, Any]]) -> str:
        out = self.model.generate(_messages(content), max_tokens=self.max_tokens, **self.settings)
        return out.text.strip()


def _messages(content: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"role": "user", "content": content}]
