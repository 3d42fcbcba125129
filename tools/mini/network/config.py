"""Sizes of chiasm-mini."""

from dataclasses import dataclass


@dataclass(frozen=True)
class VisionConfig:
    """The vision tower: 64 patches of 16 pixels."""

    hidden_size: int = 256
    intermediate_size: int = 1024
    num_hidden_layers: int = 6
    num_attention_heads: int = 4
    image_size: int = 128
    patch_size: int = 16
    layer_norm_eps: float = 1e-6


@dataclass(frozen=True)
class TextConfig:
    """The decoder: a llama with grouped-query attention and tied embeddings."""

    vocab_size: int = 2048
    hidden_size: int = 256
    intermediate_size: int = 640
    num_hidden_layers: int = 6
    num_attention_heads: int = 4
    num_key_value_heads: int = 2
    head_dim: int = 64
    rms_norm_eps: float = 1e-5
    rope_theta: float = 10000.0
    max_position_embeddings: int = 1024


@dataclass(frozen=True)
class MiniConfig:
    """The whole model; `embed_size` is the width of picture rows and text rows."""

    vision: VisionConfig = VisionConfig()
    text: TextConfig = TextConfig()
    scale_factor: int = 1  # of the pixel shuffle: each patch is a row of the decoder
    embed_size: int = 256
