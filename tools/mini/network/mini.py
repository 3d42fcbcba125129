"""chiasm-mini as a whole, and its search head."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .config import MiniConfig
from .decoder import Decoder
from .vision import VisionModel


class ModalityProjection(nn.Module):
    """A patch becomes a row of the decoder."""

    def __init__(self, config: MiniConfig):
        super().__init__()
        self.proj = nn.Linear(config.vision.hidden_size, config.text.hidden_size, bias=False)


class Connector(nn.Module):
    """A projection alone: the family's pixel shuffle is by 1. Several patches in one row of 256 numbers
    lost letters, and what lay side by side was hard to tell apart."""

    def __init__(self, config: MiniConfig):
        super().__init__()
        self.modality_projection = ModalityProjection(config)

    def forward(self, patches: Tensor) -> Tensor:
        """[batch, 64, hidden] -> [batch, 64, text hidden]."""
        return self.modality_projection.proj(patches)


class Backbone(nn.Module):
    """Tower, connector and decoder under the names of transformers."""

    def __init__(self, config: MiniConfig):
        super().__init__()
        self.vision_model = VisionModel(config.vision)
        self.connector = Connector(config)
        self.text_model = Decoder(config.text)


class SearchHead(nn.Module):
    """Two projections into one space, and the learnt sharpness of the comparison."""

    def __init__(self, config: MiniConfig):
        super().__init__()
        self.image = nn.Linear(config.vision.hidden_size, config.embed_size, bias=False)
        self.text = nn.Linear(config.text.hidden_size, config.embed_size, bias=False)
        self.logit_scale = nn.Parameter(torch.tensor(2.6))


class Extras(nn.Module):
    """What chiasm-mini has beyond the family; its tensors are named chiasm.embed.*."""

    def __init__(self, config: MiniConfig):
        super().__init__()
        self.embed = SearchHead(config)


class Mini(nn.Module):
    """The model. state_dict() without the tied head is the exported file."""

    def __init__(self, config: MiniConfig = MiniConfig()):
        super().__init__()
        self.config = config
        self.model = Backbone(config)
        self.chiasm = Extras(config)

    def see(self, pixels: Tensor) -> Tensor:
        """[batch, 3, 128, 128] from -1 to 1 -> rows [batch, 64, hidden] after post_layernorm."""
        return self.model.vision_model(pixels)

    def cross(self, patches: Tensor) -> Tensor:
        """[batch, 64, hidden] -> the decoder's rows of the picture [batch, 64, text hidden]."""
        return self.model.connector(patches)

    def read(
        self,
        tokens: Tensor,
        positions: Tensor,
        mask: Tensor | None,
        rows: Tensor | None,
        first: int,
    ) -> Tensor:
        """Hidden rows [batch, tokens, hidden]; the picture's `rows` replace those from `first`."""
        x = self.model.text_model.embed_tokens(tokens)
        if rows is not None:
            x = torch.cat([x[:, :first], rows.to(x.dtype), x[:, first + rows.shape[1] :]], dim=1)
        return self.model.text_model(x, positions, mask)

    def logits(self, hidden: Tensor) -> Tensor:
        """[..., hidden] -> [..., vocabulary], with the embedding matrix as head."""
        return F.linear(hidden, self.model.text_model.embed_tokens.weight)

    def picture_row(self, patches: Tensor) -> Tensor:
        """The unit vector of a picture: mean of the 64 patch rows, projected."""
        return F.normalize(self.chiasm.embed.image(patches.mean(dim=1)).float(), dim=-1)

    def text_row(self, tokens: Tensor, last: Tensor) -> Tensor:
        """The unit vector of a text: the hidden row of its last token (place `last`), projected.

        tokens: int64 [batch, tokens], "<|im_start|>" text "<end_of_utterance>", padded at the end.
        """
        positions = torch.arange(tokens.shape[1], device=tokens.device).expand_as(tokens)
        hidden = self.read(tokens, positions, None, None, 0)
        ends = hidden[torch.arange(len(last), device=last.device), last]
        return F.normalize(self.chiasm.embed.text(ends).float(), dim=-1)
