"""The projector's task, asked outright: the decoder's row of a thing lies near the words that name it.

A question names a thing by a word; to look the thing up, the decoder compares the word's embedding with the
picture's rows. Answers alone taught it that comparison late: asked for the colour of the star among
three things, it told that of any. Training only; nothing of it is exported.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SHARPNESS = 20.0  # of the comparison, at first


class NameHeads(nn.Module):
    """Cosines of rows with the embeddings of names, sharpened; one learnt score for "none of these"."""

    def __init__(self, names: dict[str, list[int]]):
        """`names`: by kind, the token of each class from 1 on."""
        super().__init__()
        self.names = names
        self.sharpness = nn.Parameter(torch.full((len(names),), SHARPNESS))
        self.none = nn.Parameter(torch.zeros(len(names)))

    def forward(self, rows: Tensor, embeddings: Tensor) -> dict[str, Tensor]:
        """[batch, 64, hidden], [vocabulary, hidden] -> logits by kind [batch, 64, 1 + classes]."""
        rows = F.normalize(rows.float(), dim=-1)
        logits = {}
        for place, (kind, tokens) in enumerate(self.names.items()):
            cosines = rows @ F.normalize(embeddings[tokens].float(), dim=-1).T
            none = self.none[place].expand(*rows.shape[:-1], 1)
            logits[kind] = torch.cat([none, cosines * self.sharpness[place]], dim=-1)
        return logits
