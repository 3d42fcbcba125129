"""Makes tests/golden/sample/keep_sets.json: which tokens transformers' logits warpers keep, and which
token a seeded draw takes.

The logits come from the project's integer hash (core/hash.h), so the file holds no logits:
logits[i] = ((mix64(case * 2^32 + i) >> 40) * 2^-24)^power * spread, exact in float32.
"""

import json
import pathlib

import numpy as np
import torch
from transformers import (
    LogitsProcessorList,
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

MASK = (1 << 64) - 1


def mix64(x: int) -> int:
    x = (x + 0x9E3779B97F4A7C15) & MASK
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & MASK
    return x ^ (x >> 31)


def logits_of(case: int, size: int, spread: float) -> np.ndarray:
    """Uniform multiples of 2^-24 below 1, cubed in float32, times `spread`."""
    u = np.array([mix64((case << 32) + i) >> 40 for i in range(size)], np.float32) * np.float32(2**-24)
    return u * u * u * np.float32(spread)


def warped(logits: np.ndarray, o: dict) -> torch.Tensor:
    """In the order of GenerationMixin._get_logits_processor."""
    chain = LogitsProcessorList([TemperatureLogitsWarper(o["temperature"])])
    if o["top_k"]:
        chain.append(TopKLogitsWarper(o["top_k"]))
    if o["top_p"] < 1:
        chain.append(TopPLogitsWarper(o["top_p"]))
    if o["min_p"]:
        chain.append(MinPLogitsWarper(o["min_p"]))
    return chain(None, torch.from_numpy(logits)[None])[0]


def draw(scores: torch.Tensor, seed: int, position: int) -> int:
    """Inverse of the cumulative distribution, in order of ids."""
    u = (mix64((mix64(seed) + position) & MASK) >> 11) * 2.0**-53
    p = torch.softmax(scores.double(), 0).numpy()
    return int(np.searchsorted(np.cumsum(p), u, side="right"))


def main() -> None:
    options = [
        dict(temperature=1.0, top_k=0, top_p=0.9, min_p=0.0),
        dict(temperature=0.7, top_k=40, top_p=1.0, min_p=0.0),
        dict(temperature=0.7, top_k=40, top_p=0.9, min_p=0.0),
        dict(temperature=1.5, top_k=0, top_p=1.0, min_p=0.05),
        dict(temperature=0.8, top_k=50, top_p=0.95, min_p=0.1),
        dict(temperature=2.0, top_k=0, top_p=0.5, min_p=0.3),
        dict(temperature=1.0, top_k=0, top_p=0.0, min_p=0.0),
        dict(temperature=1.0, top_k=1, top_p=1.0, min_p=1.0),
        dict(temperature=0.3, top_k=0, top_p=0.999, min_p=0.001),
        dict(temperature=1.0, top_k=0, top_p=1.0, min_p=0.0),
    ]
    cases = []
    for size, spread in ((7, 4.0), (300, 12.0), (1000, 30.0), (4096, 3.0), (49280, 16.0)):
        for o in options:
            case = len(cases)
            scores = warped(logits_of(case, size, spread), o)
            kept = torch.nonzero(scores > -torch.inf)[:, 0].tolist()
            cases.append({
                "size": size, "spread": spread, **o, "count": len(kept), "sum": sum(kept),
                "first": kept[:20], "drawn": [draw(scores, case, position) for position in range(8)],
            })
    penalized = logits_of(99, 50, 8.0) - np.float32(3)
    seen = [3, 7, 7, 49, 0]
    after = RepetitionPenaltyLogitsProcessor(1.3)(torch.tensor([seen]), torch.from_numpy(penalized)[None])
    out = {"cases": cases, "penalty": {"value": 1.3, "seen": seen, "after": after[0].tolist()}}
    path = pathlib.Path(__file__).parents[1] / "golden" / "sample" / "keep_sets.json"
    path.write_text(json.dumps(out, separators=(",", ":")).replace('{"size"', '\n{"size"') + "\n")


if __name__ == "__main__":
    main()
