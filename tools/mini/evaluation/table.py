"""Figures as the table of the README."""

import numpy as np

ROWS = {  # what the table shows, in order, of all that is measured
    "photo class": "photographs: class, exact answer",
    "animal or vehicle": "photographs: animal or vehicle",
    "photo yes/no": "photographs: yes/no",
    "scene questions": "scenes: all questions",
    "scene caption": "scenes: caption, exact",
    "counting": "scenes: counting",
    "colour": "scenes: colour",
    "relation": "scenes: relations",
    "shape": "scenes: shape",
    "scene yes/no": "scenes: yes/no",
    "reading exact": "words of up to 10 letters at 14 pixels or more: exact",
    "reading characters": "the same, characters in order",
    "display": "digit displays",
    "chart": "bar charts: which bar",
    "unsure": "questions beyond it: says so",
    "search@5": "pictures found by words, recall@5",
    "same answers": "answers, right or wrong, equal to the first column's",
}


def markdown(record: dict) -> str:
    """A table with a column for each precision, and the likelihood of right answers below."""
    figures = record["figures"]
    dtypes = list(figures)
    first = figures[dtypes[0]]
    lines = [
        _row("measured on validation pictures", "asked", dtypes),
        _row("---", "--:", ["--:"] * len(dtypes)),
    ]
    for name, title in ROWS.items():
        if name in first:
            shares = [f"{100 * figures[dtype][name]['share']:.1f} %" for dtype in dtypes]
            lines.append(_row(title, str(first[name]["count"]), shares))
    kinds = [name for name in first if name.startswith("nats ")]
    if kinds:
        tokens = sum(first[name]["count"] for name in kinds)
        nats = {dtype: _nats(figures[dtype], kinds) for dtype in dtypes}
        lines.append(
            _row("nats a token of right answers", str(tokens), [f"{n:.4f}" for n in nats.values()])
        )
        perplexities = [f"{np.exp(n):.4f}" for n in nats.values()]
        lines.append(_row("perplexity of right answers", str(tokens), perplexities))
        if "bfloat16" in nats:
            changes = [f"{100 * np.expm1(n - nats['bfloat16']):+.2f} %" for n in nats.values()]
            lines.append(_row("perplexity against bfloat16", "", changes))
    return "\n".join(lines)


def _nats(figures: dict, kinds: list[str]) -> float:
    tokens = sum(figures[name]["count"] for name in kinds)
    return sum(figures[name]["nats"] * figures[name]["count"] for name in kinds) / tokens


def _row(title: str, asked: str, cells: list[str]) -> str:
    return "| " + " | ".join((title, asked, *cells)) + " |"
