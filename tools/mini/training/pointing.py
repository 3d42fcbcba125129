"""Attention asked outright: words look at the rows of what they name, answers at the rows of what comes next.

From answers alone, no head of the decoder compared a shape that was asked for with the picture's rows: it
told the colour of any thing. Nor did one of the first five layers follow the letters of a word. A few heads are
shown where to look; what they bring, and what is made of it, is left to answers. Where there is nothing
to be looked at, the first token is.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..network.decoder import Attention, rotate

WORDS_LAYER = 1  # the first whose tokens know their neighbours
HEADS = {"shape": 1, "shapes": 1, "colour": 2}  # of different keys
READING_LAYER, READING_HEAD = 4, 3  # tokens know there how far an answer has come


class Pointing:
    """Watches one layer's attention; `loss` compares its heads with labels of patches."""

    def __init__(self, attention: Attention, names: dict[str, list[int]], first_row: int):
        """`names`: see `NameHeads`; `first_row`: where the picture's rows begin."""
        self.attention, self.names, self.first_row = attention, names, first_row
        self.seen: tuple[Tensor, tuple[Tensor, Tensor]] | None = None
        attention.register_forward_pre_hook(self._look)

    def _look(self, module: nn.Module, arguments) -> None:
        hidden, turns, _ = arguments
        self.seen = (hidden, turns)

    def words_loss(self, tokens: Tensor, segments: Tensor, labels: dict[str, Tensor]) -> Tensor:
        """Minus the logarithm of the attention on the right rows among the picture's and the first token.

        tokens, segments: int64 [batch, length] of the last pass; labels: int64 [batch, 64] by kind.
        """
        hidden, turns = self.seen
        end = self.first_row + next(iter(labels.values())).shape[1]
        total = hidden.new_zeros((), dtype=torch.float32)
        for kind, ids in self.names.items():
            label = labels[kind.removesuffix("s")]
            words = tokens.new_tensor(ids)
            at = torch.isin(tokens, words) & (segments > 0) & (label[:, :1] >= 0)
            row, place = at.nonzero(as_tuple=True)
            if len(row) == 0:
                continue
            scores = self._scores(HEADS[kind], hidden, turns, row, place, end)
            wanted = (tokens[row, place][:, None] == words).int().argmax(dim=1) + 1
            right = F.pad(label[row] == wanted[:, None], (self.first_row, 0))
            right[:, 0] = ~right.any(dim=1)
            total = total + _surprise(scores, right)
        return total

    def reading_loss(self, places: Tensor, order: Tensor, head: int) -> Tensor:
        """The same for tokens before something that the picture shows at a known place of `order`.

        places: int64 [batch, length], see `places_of`; order: int64 [batch, 64].
        """
        hidden, turns = self.seen
        row, place = ((places > 0) & (order[:, :1] >= 0)).nonzero(as_tuple=True)
        if len(row) == 0:
            return hidden.new_zeros((), dtype=torch.float32)
        scores = self._scores(head, hidden, turns, row, place, self.first_row + order.shape[1])
        reached = order[row].masked_fill(order[row] > places[row, place][:, None], 0)
        last = reached.max(dim=1, keepdim=True).values
        right = F.pad((reached == last) & (last > 0), (self.first_row, 0))
        right[:, 0] = last[:, 0] == 0
        return _surprise(scores, right)

    def _scores(self, head, hidden, turns, row, place, end) -> Tensor:
        """float32 [words, end]: what the head makes of the tokens before `end`, for each word."""
        width = self.attention.head_dim
        shared = self.attention.q_proj.out_features // self.attention.k_proj.out_features
        of_q = slice(head * width, (head + 1) * width)
        of_k = slice(head // shared * width, (head // shared + 1) * width)
        cosine, sine = (turn[:, 0] for turn in turns)
        q = rotate(F.linear(hidden, self.attention.q_proj.weight[of_q]), cosine, sine)
        k = F.linear(hidden[:, :end], self.attention.k_proj.weight[of_k])
        k = rotate(k, cosine[:, :end], sine[:, :end])
        return (q @ k.transpose(1, 2))[row, place].float() * width**-0.5


def _surprise(scores: Tensor, right: Tensor) -> Tensor:
    """Minus the logarithm of the softmax's sum over the right keys, on average."""
    of_right = scores.masked_fill(~right, float("-inf"))
    return (scores.logsumexp(dim=1) - of_right.logsumexp(dim=1)).mean()
