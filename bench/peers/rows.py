"""The rows of the comparison: what is run, by whom, and what Chiasm is held to.

A `Contender` is one model in one peer's process; its `run` gives seconds. A `Bar` says how many times as
fast as another contender, or which share of a physical limit, Chiasm's own contender should be.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

TILE_GFLOP = 214.7  # SigLIP-base 512 x 512 with the connector: products and attention
PREFILL_GFLOP = 117.8  # 512 tokens of the 135M decoder; causal attention at half
Q4_BYTES = 96.6e6  # of the Q4_1 file that one decoded token reads
BF16_BYTES = 268.7e6
KV_BYTES_A_TOKEN = 30 * 2 * 3 * 64 * 2  # layers, K and V, heads, width, bfloat16


@dataclass(frozen=True)
class Spec:
    """How a model is loaded: the peer's module, its file and settings."""

    peer: str  # chiasm, chiasm-avx2, chiasm-1, torch, openvino, onnx, llama; behind the dash: its process
    path: str  # under the data folder; "gguf" is the given GGUF file
    settings: dict[str, Any] = field(default_factory=dict)
    mmproj: str | None = None


MODELS = {
    "Chiasm bf16 tile": Spec("chiasm", "single"),
    "Chiasm int8 tile": Spec("chiasm", "single", {"quantize": "int8"}),
    "Chiasm bf16": Spec("chiasm", "vlm"),
    "Chiasm int8": Spec("chiasm", "vlm", {"quantize": "int8"}),
    "Chiasm Q4_1": Spec("chiasm", "gguf"),
    "Chiasm bf16 tile, 1 thread": Spec("chiasm-1", "single"),
    "Chiasm int8 tile, 1 thread": Spec("chiasm-1", "single", {"quantize": "int8"}),
    "Chiasm Q4_1, 1 thread": Spec("chiasm-1", "gguf"),
    "Chiasm bf16, 1 thread": Spec("chiasm-1", "vlm"),
    "Chiasm AVX2 bf16 tile": Spec("chiasm-avx2", "single"),
    "Chiasm AVX2 int8 tile": Spec("chiasm-avx2", "single", {"quantize": "int8"}),
    "Chiasm AVX2 Q4_1": Spec("chiasm-avx2", "gguf"),
    "Chiasm AVX2 bf16": Spec("chiasm-avx2", "vlm"),
    "torch bf16": Spec("torch", "vlm", {"dtype": "bfloat16"}),
    "torch fp32": Spec("torch", "vlm", {"dtype": "float32"}),
    "torch fp32 Q4_1": Spec("torch", "gguf", {"dtype": "float32"}),
    "OpenVINO bf16 tile": Spec("openvino", "vision.xml"),
    "OpenVINO Q4_1": Spec("openvino", "gguf"),
    "onnxruntime fp32 tile": Spec("onnx", "vision.onnx"),
    "onnxruntime int8 tile": Spec("onnx", "vision-int8.onnx"),
    "llama.cpp f16": Spec("llama", "vlm-f16.gguf", mmproj="vlm-mmproj-f16.gguf"),
    "llama.cpp q8_0": Spec("llama", "vlm-q8_0.gguf", mmproj="vlm-mmproj-q8_0.gguf"),
    "llama.cpp Q4_1": Spec("llama", "gguf"),
    "llama.cpp AVX2 f16": Spec("llama-avx2", "vlm-f16.gguf", mmproj="vlm-mmproj-f16.gguf"),
    "llama.cpp AVX2 q8_0": Spec("llama-avx2", "vlm-q8_0.gguf", mmproj="vlm-mmproj-q8_0.gguf"),
    "llama.cpp AVX2 Q4_1": Spec("llama-avx2", "gguf"),
}


@dataclass(frozen=True)
class Contender:
    model: str
    call: str
    arguments: dict[str, Any]


@dataclass(frozen=True)
class Bar:
    """`ours` must be `factor` times as fast as `against` (a model, several whose times add up, or a
    limit: "bf16", "int8", "read")."""

    ours: str
    against: str
    factor: float


@dataclass(frozen=True)
class Row:
    key: str
    title: str
    contenders: list[Contender]
    bars: list[Bar]
    tokens: int = 0  # of one call, for tokens a second; 0: milliseconds
    gflop: float = 0  # of one call
    bytes_read: dict[str, float] = field(default_factory=dict)  # by model, for one token
    rounds: int = 5


def each(call: str, *models: str, **arguments: Any) -> list[Contender]:
    return [Contender(model, call, arguments) for model in models]


ENCODERS = [
    *["Chiasm bf16 tile", "Chiasm int8 tile", "OpenVINO bf16 tile", "torch bf16"],
    *["onnxruntime fp32 tile", "onnxruntime int8 tile"],
]

ROWS = [
    Row(
        "encode",
        "vision encode, SigLIP-base, one 512 x 512 tile",
        each("encode", *ENCODERS, "llama.cpp f16", "llama.cpp q8_0"),
        [
            Bar("Chiasm bf16 tile", "limit bf16", 0.85),
            Bar("Chiasm bf16 tile", "OpenVINO bf16 tile", 1.0),
            Bar("Chiasm bf16 tile", "llama.cpp f16", 2.5),
            Bar("Chiasm int8 tile", "OpenVINO bf16 tile", 1.4),
            Bar("Chiasm int8 tile", "limit int8", 0.60),
        ],
        gflop=TILE_GFLOP,
        rounds=9,
    ),
    Row(
        "prefill",
        "prefill of 512 tokens, 135M decoder",
        each(
            "prefill",
            *["Chiasm Q4_1", "Chiasm bf16", "Chiasm int8", "OpenVINO Q4_1", "torch bf16"],
            *["llama.cpp Q4_1", "llama.cpp f16"],
            tokens=512,
        ),
        [
            Bar("Chiasm Q4_1", "OpenVINO Q4_1", 1.3),
            Bar("Chiasm Q4_1", "llama.cpp Q4_1", 6.0),
            Bar("Chiasm int8", "OpenVINO Q4_1", 1.3),
        ],
        tokens=512,
        gflop=PREFILL_GFLOP,
        rounds=9,
    ),
    Row(
        "decode-q4",
        "decode of 128 tokens from an empty context, 135M, Q4_1",
        each("decode", "Chiasm Q4_1", "llama.cpp Q4_1", "OpenVINO Q4_1", depth=0, tokens=128),
        [Bar("Chiasm Q4_1", "llama.cpp Q4_1", 2.5)],
        tokens=128,
        bytes_read={"Chiasm Q4_1": Q4_BYTES, "llama.cpp Q4_1": Q4_BYTES, "OpenVINO Q4_1": Q4_BYTES},
        rounds=7,
    ),
    Row(
        "decode-bf16",
        "decode of 96 tokens from an empty context, 135M, 16 bits",
        each(
            "decode",
            *["Chiasm bf16", "Chiasm int8", "Chiasm AVX2 bf16", "llama.cpp f16"],
            depth=0,
            tokens=96,
        ),
        [Bar("Chiasm bf16", "llama.cpp f16", 1.5), Bar("Chiasm bf16", "limit read", 0.75)],
        tokens=96,
        bytes_read={"Chiasm bf16": BF16_BYTES, "llama.cpp f16": BF16_BYTES},
        rounds=7,
    ),
    Row(
        "decode-deep",
        "decode of 64 tokens at depth 1088, 135M, 16 bits",
        each("decode", "Chiasm bf16", "Chiasm int8", "llama.cpp f16", depth=1088, tokens=64),
        [Bar("Chiasm bf16", "llama.cpp f16", 2.0), Bar("Chiasm bf16", "limit read", 0.75)],
        tokens=64,
        bytes_read={name: BF16_BYTES + 1120 * KV_BYTES_A_TOKEN for name in ("Chiasm bf16", "llama.cpp f16")},
    ),
    Row(
        "caption",
        "a picture of 17 tiles to 64 tokens, from its pixels on",
        [
            *each("caption", "Chiasm int8", "Chiasm bf16", tokens=64),
            Contender("OpenVINO bf16 tile", "encode_tiles", {"tiles": 17}),
            *each("caption", "llama.cpp q8_0", "llama.cpp f16", tokens=64),
        ],
        [
            Bar("Chiasm int8", "llama.cpp q8_0", 3.5),
            Bar("Chiasm int8", "OpenVINO bf16 tile + llama.cpp q8_0's decode", 1.3),
        ],
        rounds=3,
    ),
    Row(
        "scaling-encode",
        "one tile with 1 thread and with 2",
        each(
            "encode",
            *["Chiasm bf16 tile", "Chiasm bf16 tile, 1 thread"],
            *["Chiasm int8 tile", "Chiasm int8 tile, 1 thread"],
        ),
        [
            Bar("Chiasm bf16 tile", "Chiasm bf16 tile, 1 thread", 1.85),
            Bar("Chiasm int8 tile", "Chiasm int8 tile, 1 thread", 1.85),
        ],
        gflop=TILE_GFLOP,
    ),
    Row(
        "scaling-prefill",
        "prefill of 512 tokens with 1 thread and with 2",
        each(
            "prefill",
            *["Chiasm Q4_1", "Chiasm Q4_1, 1 thread", "Chiasm bf16", "Chiasm bf16, 1 thread"],
            tokens=512,
        ),
        [
            Bar("Chiasm Q4_1", "Chiasm Q4_1, 1 thread", 1.85),
            Bar("Chiasm bf16", "Chiasm bf16, 1 thread", 1.85),
        ],
        tokens=512,
        gflop=PREFILL_GFLOP,
    ),
    Row(
        "avx2-encode",
        "one tile, Chiasm held to AVX2, llama.cpp free",
        each(
            "encode",
            *["Chiasm AVX2 bf16 tile", "Chiasm AVX2 int8 tile", "llama.cpp f16", "llama.cpp q8_0"],
            *["llama.cpp AVX2 f16", "llama.cpp AVX2 q8_0"],
        ),
        [
            Bar("Chiasm AVX2 bf16 tile", "llama.cpp f16", 1.0),
            Bar("Chiasm AVX2 int8 tile", "llama.cpp q8_0", 1.0),
            Bar("Chiasm AVX2 bf16 tile", "llama.cpp AVX2 f16", 1.0),
        ],
        gflop=TILE_GFLOP,
        rounds=3,
    ),
    Row(
        "avx2-prefill",
        "prefill of 512 tokens, Chiasm held to AVX2, llama.cpp free",
        each(
            "prefill",
            *["Chiasm AVX2 Q4_1", "Chiasm AVX2 bf16", "llama.cpp Q4_1", "llama.cpp f16"],
            *["llama.cpp AVX2 Q4_1", "llama.cpp AVX2 f16"],
            tokens=512,
        ),
        [
            Bar("Chiasm AVX2 Q4_1", "llama.cpp Q4_1", 1.0),
            Bar("Chiasm AVX2 bf16", "llama.cpp f16", 1.0),
            Bar("Chiasm AVX2 bf16", "llama.cpp AVX2 f16", 1.0),
        ],
        tokens=512,
        gflop=PREFILL_GFLOP,
    ),
    Row(
        "avx2-decode",
        "decode of 64 tokens, Chiasm held to AVX2, llama.cpp free",
        each(
            "decode",
            *["Chiasm AVX2 Q4_1", "Chiasm AVX2 bf16", "llama.cpp Q4_1", "llama.cpp f16"],
            depth=0,
            tokens=64,
        ),
        [
            Bar("Chiasm AVX2 Q4_1", "llama.cpp Q4_1", 1.0),
            Bar("Chiasm AVX2 bf16", "llama.cpp f16", 1.0),
        ],
        tokens=64,
    ),
]
