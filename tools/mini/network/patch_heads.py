"""Linear heads on single patches and on the decoder's rows, for training only: what lies under each patch.

They give 64 answers a picture instead of one, so the tower learns letters and shapes from far fewer
pictures, and the projection learns to keep them. They are not exported.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..pictures.charts import BAR
from ..pictures.palette import COLOURS
from ..pictures.photos import CLASSES
from ..pictures.sample import CHAR_SLOTS, CHARACTERS, LONGEST, MOST
from ..pictures.shapes import SHAPE_NAMES

PHOTO = "photo"
OUTPUTS = {
    "shape": BAR + 1,
    "colour": len(COLOURS) + 1,
    "centre": 2,
    "characters": CHAR_SLOTS * (len(CHARACTERS) + 1),
    "order": LONGEST + 1,
    "rank": MOST + 1,
    "alike": 3 * (MOST + 1),
    "beside": 8 * (len(SHAPE_NAMES) + 2),
    "extreme": 6 * 3,
    "part": 10,
    "size": 3,
}
SLOTS = {"characters": CHAR_SLOTS, "alike": 3, "beside": 8, "extreme": 6}  # kinds with several answers a patch


class PatchHeads(nn.Module):
    """One linear layer for each kind of label, and one for the class of a photograph."""

    def __init__(self, width: int):
        super().__init__()
        self.patches = nn.Linear(width, sum(OUTPUTS.values()))
        self.photo = nn.Linear(width, len(CLASSES))

    def forward(self, features: Tensor) -> dict[str, Tensor]:
        """[batch, 64, hidden] -> logits by kind [batch, 64, classes], photo [batch, 10]."""
        return by_kind(self.patches(features)) | {PHOTO: self.photo(features.mean(dim=1))}


class RowHeads(nn.Module):
    """One linear layer on each row that the decoder gets, for the patch it was made from.

    Rows are scaled as the decoder's first norm does. Weights begin at zero, so that the projection is
    pulled only as the heads learn.
    """

    def __init__(self, width: int):
        super().__init__()
        self.patches = nn.Linear(width, sum(OUTPUTS.values()))
        nn.init.zeros_(self.patches.weight)

    def forward(self, rows: Tensor) -> dict[str, Tensor]:
        """[batch, 64, text hidden] -> logits by kind [batch, 64, classes]."""
        return by_kind(self.patches(F.rms_norm(rows.float(), rows.shape[-1:])))


def by_kind(outputs: Tensor) -> dict[str, Tensor]:
    """The logits of every kind of label from a layer's outputs side by side."""
    logits = dict(zip(OUTPUTS, torch.split(outputs, list(OUTPUTS.values()), dim=-1)))
    for kind, slots in SLOTS.items():
        logits[kind] = logits[kind].unflatten(-1, (slots, -1))
    return logits
