"""Do the peers compute the same thing? Asked before any time counts."""

from __future__ import annotations

import pathlib
from typing import Any

import numpy as np

from peers import inputs

# Rounding alone keeps each above these: 16-bit products through 12 layers, 8-bit ones as the issue asks.
LEAST_COSINE = {"16 bits": 0.999, "8 bits": 0.998}
MARGIN = 0.15  # nats between llama.cpp's first and second token, below which they may differ
# Of the positions over that margin. llama.cpp's own 8-bit activations move the log-probabilities of the
# likely tokens by 0.14 nats (root mean square, SmolLM2-135M Q4_1), as Chiasm's do by 0.13, so that even
# float32 arithmetic on the same weights differs from llama.cpp at 3 to 4 positions in a thousand.
MOST_APART = 0.01

PROMPTS = [
    "Once upon a time, in a village by the sea, there lived",
    "<|im_start|>user\nWhat is the capital of France, and what is it known for?<|im_end|>\n"
    "<|im_start|>assistant\n",
    "<|im_start|>user\nWrite three rules for a good night's sleep.<|im_end|>\n<|im_start|>assistant\n",
    "def fibonacci(n):\n    ",
    "The chemical symbol of gold is Au, that of silver is Ag, and that of iron is",
    "<|im_start|>user\nTranslate to French: The cat sleeps on the table.<|im_end|>\n<|im_start|>assistant\n",
    "1, 1, 2, 3, 5, 8, 13, 21,",
    "<|im_start|>user\nExplain photosynthesis to a child of six.<|im_end|>\n<|im_start|>assistant\n",
    "In 1969, Neil Armstrong and Buzz Aldrin",
    "Dear Sir or Madam,\n\nI am writing to complain about",
]


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    """Least over the tokens. NaN anywhere gives NaN, which no bound lets through."""
    if a.shape != b.shape:
        raise ValueError(f"features of shapes {a.shape} and {b.shape}")
    a, b = a.astype(np.float64), b.astype(np.float64)
    products = (a * b).sum(-1) / np.sqrt((a * a).sum(-1) * (b * b).sum(-1))
    return float(products.min())


def features(workers: Any, models: list[str], folder: pathlib.Path) -> dict[str, Any]:
    """Each model's features of one tile beside torch's in float32: least cosine of a token, and of all."""
    out: dict[str, Any] = {}
    saved = {}
    for model in ["torch fp32", *models]:
        path = folder / "features.npy"
        workers.call(model, "features", seed=7, out=str(path))
        saved[model] = np.load(path)
    for model in models:
        a, b = saved[model].ravel(), saved["torch fp32"].ravel()
        whole = cosine(a[None], b[None])
        least = cosine(saved[model], saved["torch fp32"])
        bits = "8 bits" if "int8" in model or "q8_0" in model else "16 bits"
        agrees = whole >= LEAST_COSINE[bits]
        out[model] = {"cosine": whole, "least_of_a_token": least, "agrees": agrees}
    return out


def greedy(
    workers: Any, ours: str, theirs: str, exact: str | None, folder: pathlib.Path, tokens: int = 64
) -> dict[str, Any]:
    """llama.cpp answers each prompt greedily; at each position of those answers all say their own next
    token. `exact` is float32 arithmetic on the same weights: it tells what llama.cpp's rounding costs."""
    counts = {"prompts": len(PROMPTS), "positions": 0, "over_margin": 0, "equal": 0, "equal_over_margin": 0}
    if exact:
        counts["of_float32_equal_over_margin"] = 0
    apart: list[dict[str, Any]] = []
    for prompt in PROMPTS:
        ids = workers.call(ours, "tokenize", text=prompt)
        answer = workers.call(theirs, "greedy", ids=ids, tokens=tokens)
        first = len(ids) - 1
        rows = {}
        for model in (ours, theirs, exact):
            if model is None:
                continue
            path = folder / "logits.npy"
            workers.call(model, "logits", ids=ids + answer[:-1], first=first, out=str(path))
            rows[model] = np.load(path).astype(np.float64)
        best = np.sort(rows[theirs], -1)[:, -2:]
        over = best[:, 1] - best[:, 0] > MARGIN
        token = {model: values.argmax(-1) for model, values in rows.items()}
        equal = token[ours] == token[theirs]
        counts["positions"] += len(equal)
        counts["over_margin"] += int(over.sum())
        counts["equal"] += int(equal.sum())
        counts["equal_over_margin"] += int((equal & over).sum())
        if exact:
            counts["of_float32_equal_over_margin"] += int(((token[exact] == token[theirs]) & over).sum())
        for i in np.nonzero(over & ~equal)[0]:
            apart.append({"prompt": prompt, "position": int(i), "margin": float(best[i, 1] - best[i, 0])})
    agrees = len(apart) <= MOST_APART * counts["over_margin"]
    return {**counts, "agrees": agrees, "apart": apart}


def last_logits(workers: Any, models: list[str], reference: str, folder: pathlib.Path) -> dict[str, Any]:
    """Correlation of the logits behind 64 given tokens."""
    out: dict[str, Any] = {}
    ids = inputs.token_ids(64, 11)
    saved = {}
    for model in [reference, *models]:
        path = folder / "logits.npy"
        workers.call(model, "logits", ids=ids, first=32, out=str(path))
        saved[model] = np.load(path).astype(np.float64)
        saved[model] -= saved[model].mean(-1, keepdims=True)
    for model in models:
        whole = cosine(saved[model], saved[reference])
        out[model] = {"cosine": whole, "agrees": whole >= 0.99}
    return out
