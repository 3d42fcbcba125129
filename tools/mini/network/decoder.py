"""The decoder: RMS norms, rotary positions, grouped-query attention, gated MLP.

Touvron et al., 2023, arXiv:2307.09288; rotary halves as in transformers' llama.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .attention import attend, bias_of
from .config import TextConfig


class RMSNorm(nn.Module):
    """x / sqrt(mean(x^2) + eps) * weight."""

    def __init__(self, width: int, eps: float):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """[..., width] -> the same."""
        return F.rms_norm(x, self.weight.shape, self.weight.to(x.dtype), self.eps)


def rotary_table(config: TextConfig) -> tuple[Tensor, Tensor]:
    """Cosine and sine for every position: [positions, head_dim] each, the two halves alike."""
    exponents = torch.arange(0, config.head_dim, 2).float() / config.head_dim
    angles = torch.outer(
        torch.arange(config.max_position_embeddings).float(), config.rope_theta**-exponents
    )
    angles = torch.cat([angles, angles], dim=-1)
    return angles.cos(), angles.sin()


def rotate(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Turns the pairs (i, i + head_dim/2) of x [batch, heads, tokens, head_dim] by position."""
    first, second = x.chunk(2, dim=-1)
    return x * cosine + torch.cat([-second, first], dim=-1) * sine


class Attention(nn.Module):
    """Grouped-query attention; every two query heads share one head of keys and values."""

    def __init__(self, config: TextConfig):
        super().__init__()
        self.head_dim = config.head_dim
        queries, keys = (
            config.num_attention_heads * self.head_dim,
            config.num_key_value_heads * self.head_dim,
        )
        self.q_proj = nn.Linear(config.hidden_size, queries, bias=False)
        self.k_proj = nn.Linear(config.hidden_size, keys, bias=False)
        self.v_proj = nn.Linear(config.hidden_size, keys, bias=False)
        self.o_proj = nn.Linear(queries, config.hidden_size, bias=False)

    def forward(self, x: Tensor, turns: tuple[Tensor, Tensor], bias: Tensor) -> Tensor:
        """[batch, tokens, hidden] -> the same. bias: see `attend`."""
        q, k, v = (
            project(x).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
            for project in (self.q_proj, self.k_proj, self.v_proj)
        )
        q, k = rotate(q, *turns), rotate(k, *turns)
        mixed = attend(q, k, v, bias)
        return self.o_proj(mixed.transpose(1, 2).flatten(2))


class MLP(nn.Module):
    """down(silu(gate(x)) * up(x))."""

    def __init__(self, config: TextConfig):
        super().__init__()
        self.gate_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.up_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.down_proj = nn.Linear(config.intermediate_size, config.hidden_size, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """[..., hidden] -> the same."""
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class DecoderLayer(nn.Module):
    """One pre-norm block."""

    def __init__(self, config: TextConfig):
        super().__init__()
        self.self_attn = Attention(config)
        self.mlp = MLP(config)
        self.input_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.post_attention_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)

    def forward(self, x: Tensor, turns: tuple[Tensor, Tensor], bias: Tensor) -> Tensor:
        """[batch, tokens, hidden] -> the same."""
        x = x + self.self_attn(self.input_layernorm(x), turns, bias)
        return x + self.mlp(self.post_attention_layernorm(x))


class Decoder(nn.Module):
    """Embedded tokens to hidden rows; the head is the embedding matrix (see `Mini.logits`)."""

    def __init__(self, config: TextConfig):
        super().__init__()
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        nn.init.normal_(self.embed_tokens.weight, std=0.02)
        self.layers = nn.ModuleList(DecoderLayer(config) for _ in range(config.num_hidden_layers))
        self.norm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        cosine, sine = rotary_table(config)
        self.register_buffer("cosine", cosine, persistent=False)
        self.register_buffer("sine", sine, persistent=False)

    def forward(self, x: Tensor, positions: Tensor, mask: Tensor | None) -> Tensor:
        """x [batch, tokens, hidden], positions int64 [batch, tokens] -> normalised rows like x.

        mask: bool [batch, 1, tokens, tokens], whom each token sees; None for all before it.
        """
        low = (
            torch.get_autocast_dtype(x.device.type)
            if torch.is_autocast_enabled(x.device.type)
            else x.dtype
        )
        if mask is None:
            mask = torch.ones(
                1, 1, x.shape[1], x.shape[1], dtype=torch.bool, device=x.device
            ).tril()
        bias = bias_of(mask, low)
        turns = tuple(table[positions][:, None].to(low) for table in (self.cosine, self.sine))
        for layer in self.layers:
            x = layer(x, turns, bias)
        return self.norm(x)
