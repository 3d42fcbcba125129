"""The vision tower: patches, learnt positions, pre-norm transformer blocks.

Dosovitskiy et al., 2021, arXiv:2010.11929; Zhai et al. (SigLIP), 2023, arXiv:2303.15343.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .attention import attend
from .config import VisionConfig


def waves(side: int, width: int) -> Tensor:
    """[side * side, width]: sines and cosines of row and column, where the learnt positions start.

    A neighbour is then a fixed rotation away, so that attention need not learn for each place anew
    where the other half of a letter lies. Wavelengths run from 3 to 32 patches.
    """
    lengths = 3 * (32 / 3) ** torch.linspace(0, 1, width // 4)
    angles = torch.arange(side)[:, None] * 2 * torch.pi / lengths
    along = torch.cat([angles.sin(), angles.cos()], dim=1)  # [side, width / 2]
    rows, columns = along[:, None].expand(-1, side, -1), along[None].expand(side, -1, -1)
    return torch.cat([rows, columns], dim=-1).flatten(0, 1)


class VisionEmbeddings(nn.Module):
    """Pixels to patch rows: a strided convolution plus one learnt row for each place."""

    def __init__(self, config: VisionConfig):
        super().__init__()
        side = config.image_size // config.patch_size
        self.patch_embedding = nn.Conv2d(
            3, config.hidden_size, config.patch_size, config.patch_size
        )
        self.position_embedding = nn.Embedding(side * side, config.hidden_size)
        self.position_embedding.weight.data.copy_(waves(side, config.hidden_size))
        self.patch_size = config.patch_size

    def forward(self, pixels: Tensor) -> Tensor:
        """[batch, 3, 128, 128] -> [batch, 64, hidden]. The convolution is one matrix product."""
        batch, channels, height, width = pixels.shape
        size = self.patch_size
        patches = pixels.view(batch, channels, height // size, size, width // size, size)
        patches = patches.permute(0, 2, 4, 1, 3, 5).reshape(batch, -1, channels * size * size)
        weight = self.patch_embedding.weight.flatten(1)
        return F.linear(patches, weight, self.patch_embedding.bias) + self.position_embedding.weight


class VisionAttention(nn.Module):
    """Attention among all patches."""

    def __init__(self, config: VisionConfig):
        super().__init__()
        width = config.hidden_size
        self.heads = config.num_attention_heads
        self.k_proj = nn.Linear(width, width)
        self.v_proj = nn.Linear(width, width)
        self.q_proj = nn.Linear(width, width)
        self.out_proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """[batch, patches, hidden] -> the same."""
        shape = (*x.shape[:2], self.heads, -1)
        q, k, v = (
            project(x).view(shape).transpose(1, 2)
            for project in (self.q_proj, self.k_proj, self.v_proj)
        )
        mixed = attend(q, k, v)
        return self.out_proj(mixed.transpose(1, 2).flatten(2))


class VisionMLP(nn.Module):
    """Two layers with the tanh form of GELU between them."""

    def __init__(self, config: VisionConfig):
        super().__init__()
        self.fc1 = nn.Linear(config.hidden_size, config.intermediate_size)
        self.fc2 = nn.Linear(config.intermediate_size, config.hidden_size)

    def forward(self, x: Tensor) -> Tensor:
        """[..., hidden] -> the same."""
        return self.fc2(F.gelu(self.fc1(x), approximate="tanh"))


class VisionLayer(nn.Module):
    """One block; in training, pictures skip branches with probability `skip` (stochastic depth)."""

    def __init__(self, config: VisionConfig, skip: float):
        super().__init__()
        self.layer_norm1 = nn.LayerNorm(config.hidden_size, config.layer_norm_eps)
        self.layer_norm2 = nn.LayerNorm(config.hidden_size, config.layer_norm_eps)
        self.self_attn = VisionAttention(config)
        self.mlp = VisionMLP(config)
        self.skip = skip

    def forward(self, x: Tensor) -> Tensor:
        """[batch, patches, hidden] -> the same."""
        x = x + self._thin(self.self_attn(self.layer_norm1(x)))
        return x + self._thin(self.mlp(self.layer_norm2(x)))

    def _thin(self, branch: Tensor) -> Tensor:
        if not self.training or self.skip == 0:
            return branch
        keep = torch.rand(branch.shape[0], 1, 1, device=branch.device) >= self.skip
        return branch * (keep / (1 - self.skip)).to(branch.dtype)


class VisionEncoder(nn.Module):
    """The stack of blocks; later ones are skipped more often."""

    def __init__(self, config: VisionConfig, skip: float):
        super().__init__()
        last = max(config.num_hidden_layers - 1, 1)
        self.layers = nn.ModuleList(
            VisionLayer(config, skip * number / last) for number in range(config.num_hidden_layers)
        )


class VisionModel(nn.Module):
    """The tower as transformers lays it out: embeddings, encoder, post_layernorm."""

    def __init__(self, config: VisionConfig, skip: float = 0.1):
        super().__init__()
        self.embeddings = VisionEmbeddings(config)
        self.encoder = VisionEncoder(config, skip)
        self.post_layernorm = nn.LayerNorm(config.hidden_size, config.layer_norm_eps)

    def forward(self, pixels: Tensor, kept: Tensor | None = None) -> Tensor:
        """[batch, 3, 128, 128] -> [batch, patches, hidden], normalised.

        kept: int64 [batch, fewer] numbers of the patches to encode; training on part of a picture
        costs less and regularises (Li et al., 2023, arXiv:2212.00794). None encodes all.
        """
        x = self.embeddings(pixels)
        if kept is not None:
            x = x.gather(1, kept[:, :, None].expand(-1, -1, x.shape[2]))
        for layer in self.encoder.layers:
            x = layer(x)
        return self.post_layernorm(x)
