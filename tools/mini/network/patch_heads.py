"""Linear heads on single patches, for training only: what lies under each patch.

They give 64 answers a picture instead of one, so the tower learns letters and shapes from far fewer
pictures. They are not exported.
"""

import torch
from torch import Tensor, nn

from ..pictures.charts import BAR
from ..pictures.palette import COLOURS
from ..pictures.photos import CLASSES
from ..pictures.sample import CHAR_SLOTS, CHARACTERS, LONGEST, MOST

PHOTO = "photo"
OUTPUTS = {
    "shape": BAR + 1,
    "colour": len(COLOURS) + 1,
    "centre": 2,
    "characters": CHAR_SLOTS * (len(CHARACTERS) + 1),
    "order": LONGEST + 1,
    "rank": MOST + 1,
    "alike": 3 * (MOST + 1),
}
SLOTS = {"characters": CHAR_SLOTS, "alike": 3}  # kinds with several answers a patch


class PatchHeads(nn.Module):
    """One linear layer for each kind of label, and one for the class of a photograph."""

    def __init__(self, width: int):
        super().__init__()
        self.patches = nn.Linear(width, sum(OUTPUTS.values()))
        self.photo = nn.Linear(width, len(CLASSES))

    def forward(self, features: Tensor) -> dict[str, Tensor]:
        """[batch, 64, hidden] -> logits by kind [batch, 64, classes], photo [batch, 10]."""
        split = torch.split(self.patches(features), list(OUTPUTS.values()), dim=-1)
        logits = dict(zip(OUTPUTS, split))
        for kind, slots in SLOTS.items():
            logits[kind] = logits[kind].unflatten(-1, (slots, -1))
        logits[PHOTO] = self.photo(features.mean(dim=1))
        return logits
