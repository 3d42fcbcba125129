"""Whether what was found has to do with what was asked: the nearest of all may still be far."""

from __future__ import annotations

import re
import unicodedata

from chiasm.rag._hits import Hit
from chiasm.rag._spaces import Spaces, is_bundled_head

LEAST_SHARED = 0.5
"""Of the question's words that carry meaning: a source that holds half of them is about it."""
_BUNDLED = {"seen": 0.5, "read": 2.0}
"""Of chiasm-mini: 95 % of photographs have a cosine of at least 0.54 with the name of their class
(1,000 of CIFAR-10 that training leaves out), drawn pictures of 0.68 with their description (300); of
what has nothing to do with them half is above as well. Its head was never trained on passages: those
count by their words alone."""
_OTHERS = {"seen": 0.2, "read": 0.35}
"""Of contrastive models of pictures, and of sentences: pairs that belong together are above, most
others below."""
_STEM = 5
"""Letters by which forms of a word are taken as one: invoice, invoices."""
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\W\u3040-\u30ff\u3400-\u9fff]+")
"""A word, or a sign of the scripts that put no space between words."""
_EMPTY = frozenset(
    """a about all also am an and any are as at be been before being both but by can could did do does
    doing down each find for from give had has have having he her here him his how i if in into is it
    its just know like many me more most much my no nor not now of off on one only or other our out
    over please put said say says see she should show so some such tell than that the their them then
    there these they this those through to too under until up very was we were what when where which
    while who whom whose why will with would you your colour color picture image photo page document
    file text written""".split()
)
"""Words of a question that say nothing of its subject."""


def content_words(text: str) -> set[str]:
    """The beginnings of a text's words that carry meaning, in lower case without accents."""
    plain = unicodedata.normalize("NFKD", text.casefold())
    letters = "".join(c for c in plain if not unicodedata.combining(c))
    return {word[:_STEM] for word in _WORD.findall(letters) if word not in _EMPTY}


def shared(question: str, hit: Hit) -> float:
    """What part of the question's words a source holds, in [0, 1]."""
    asked = content_words(question)
    held = content_words(f"{hit.title} {hit.caption} {hit.text}")
    return len(asked & held) / len(asked) if asked else 0.0


def is_relevant(question: str, hit: Hit, spaces: Spaces, min_similarity: float | None) -> bool:
    """By its vector, or by its words."""
    if min_similarity is None:
        looked_at = hit.kind in ("picture", "page", "frame")
        embedder = spaces.pictures if looked_at else spaces.texts
        floors = _BUNDLED if is_bundled_head(embedder) else _OTHERS
        min_similarity = floors["seen" if looked_at else "read"]
    near = hit.similarity is not None and hit.similarity >= min_similarity
    return near or shared(question, hit) >= LEAST_SHARED
