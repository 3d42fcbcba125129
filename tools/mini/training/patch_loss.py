"""Loss and accuracy of the heads on single patches."""

import torch
import torch.nn.functional as F
from torch import Tensor

from ..network.patch_heads import PHOTO
from ..pictures.sample import IGNORE

EMPTY_SHARE = 0.25  # weight of the mean over empty patches against the mean over the others
WEIGHTS = {
    "shape": 1.0,
    "colour": 0.5,
    "centre": 0.5,
    "characters": 4.0,
    "order": 1.0,
    "rank": 0.5,
    "alike": 0.5,
    "beside": 1.0,
    "extreme": 0.5,
    "part": 0.3,
    "size": 0.3,
    PHOTO: 0.5,
}


def patch_loss(logits: dict[str, Tensor], labels: dict[str, Tensor], smoothing: float = 0.0):
    """The weighted sum over kinds, and each kind's loss by name."""
    parts = {kind: _balanced(logits[kind], labels[kind]) for kind in logits if kind != PHOTO}
    if PHOTO in logits and (labels[PHOTO] != IGNORE).any():
        parts[PHOTO] = F.cross_entropy(
            logits[PHOTO].float(), labels[PHOTO], label_smoothing=smoothing
        )
    return sum(WEIGHTS[kind] * part for kind, part in parts.items()), parts


NAMES = {"shape": ("shape", 1.0), "shapes": ("shape", 0.5), "colour": ("colour", 0.5)}  # label, weight


def name_loss(logits: dict[str, Tensor], labels: dict[str, Tensor]) -> Tensor:
    """The weighted sum over kinds of names, see `NameHeads`."""
    return sum(weight * _balanced(logits[kind], labels[label]) for kind, (label, weight) in NAMES.items())


def _balanced(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross entropy in which the many empty patches (label 0) count for a fixed share."""
    losses = F.cross_entropy(
        logits.flatten(0, -2).float(), labels.flatten(), reduction="none", ignore_index=IGNORE
    )
    flat = labels.flatten()
    full, empty = flat > 0, flat == 0
    full_mean = (losses * full).sum() / full.sum().clamp(min=1)
    return full_mean + EMPTY_SHARE * (losses * empty).sum() / empty.sum().clamp(min=1)


@torch.no_grad()
def patch_accuracy(logits: dict[str, Tensor], labels: dict[str, Tensor]) -> dict[str, float]:
    """The share of right answers on patches that hold something, and on photographs."""
    figures = {}
    for kind, scores in logits.items():
        known = labels[kind] != IGNORE if kind == PHOTO else labels[kind] > 0
        if known.any():
            figures[kind] = (scores.argmax(-1) == labels[kind])[known].float().mean().item()
    return figures
