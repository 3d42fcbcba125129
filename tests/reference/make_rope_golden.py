"""Makes tests/golden/rope.json: inverse frequencies and factors of transformers' rotary embeddings for
configs as they stand in config.json files.

    python tests/reference/make_rope_golden.py
"""
import copy
import json
import pathlib

from transformers import LlamaConfig, Phi3Config
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding
from transformers.models.phi3.modeling_phi3 import Phi3RotaryEmbedding

OUT = pathlib.Path(__file__).parents[1] / "golden" / "rope.json"
SIZES = {"hidden_size": 96, "num_attention_heads": 4}  # head_dim 24: 12 pairs
SHORT = [1, 1.01, 1.03, 1.05, 1.07, 1.1, 1.15, 1.2, 1.3, 1.4, 1.6, 2]
LONG = [1.05, 1.2, 1.5, 2, 3, 4.5, 7, 11, 17, 25, 40, 64]


def yarn(**more):
    return {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 4096, **more}


LLAMA = [
    {"rope_theta": 10000.0},
    {"rope_theta": 5e5, "rope_scaling": {"type": "linear", "factor": 3.0}},
    {"rope_theta": 5e5, "max_position_embeddings": 131072, "rope_scaling": {
        "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192}},
    {"rope_theta": 1e6, "max_position_embeddings": 4096,
     "rope_scaling": {"rope_type": "dynamic", "factor": 3.0}},
    {"rope_theta": 1e6, "max_position_embeddings": 16384, "rope_scaling": yarn()},
    {"rope_parameters": yarn(rope_theta=1e4, factor=40.0, beta_fast=16, beta_slow=2)},
    {"rope_parameters": yarn(rope_theta=1e4, truncate=False, attention_factor=1.25)},
    {"rope_parameters": yarn(rope_theta=1e4, factor=40.0, mscale=0.707, mscale_all_dim=1.0)},
    {"rope_parameters": yarn(rope_theta=1e4, factor=1.0)},
    # The ramp of so short a context is outside of the pairs.
    {"rope_parameters": yarn(rope_theta=1e4, original_max_position_embeddings=4)},
    {"max_position_embeddings": 16384, "rope_theta": 1e4, "rope_scaling": {
        "rope_type": "longrope", "short_factor": SHORT, "long_factor": LONG, "factor": 4.0,
        "original_max_position_embeddings": 4096}},
]
PHI3 = [
    {"rope_theta": 10000.0, "partial_rotary_factor": 0.75},
    {"max_position_embeddings": 131072, "original_max_position_embeddings": 4096, "rope_theta": 10000.0,
     "rope_scaling": {"type": "su", "short_factor": SHORT, "long_factor": LONG,
                      "original_max_position_embeddings": 4096}},
    {"max_position_embeddings": 131072, "rope_theta": 10000.0,
     "rope_scaling": {"type": "yarn", "short_factor": SHORT, "long_factor": LONG}},
    {"max_position_embeddings": 4096, "original_max_position_embeddings": 4096,
     "rope_scaling": {"type": "longrope", "short_factor": SHORT, "long_factor": LONG}},
    {"max_position_embeddings": 8192, "original_max_position_embeddings": 2048,
     "partial_rotary_factor": 0.5, "rope_scaling": {
         "type": "longrope", "short_factor": SHORT[:6], "long_factor": LONG[:6],
         "attention_factor": 1.5, "rope_theta": 3e4}},
]


def case(kind, make, embedding, given):
    config = make(**SIZES, **copy.deepcopy(given))
    rotary = embedding(config)
    out = {"type": kind, "config": {**SIZES, **given}, "inv_freq": rotary.inv_freq.tolist(),
           "attention_scaling": float(rotary.attention_scaling)}
    if rotary.rope_type == "longrope":
        length = config.rope_parameters["original_max_position_embeddings"]
        long, _ = ROPE_INIT_FUNCTIONS["longrope"](config, seq_len=length + 1)
        out.update(long_inv_freq=long.tolist(), short_length=length)
    return out


def main():
    cases = [case("llama", LlamaConfig, LlamaRotaryEmbedding, c) for c in LLAMA]
    cases += [case("phi3", Phi3Config, Phi3RotaryEmbedding, c) for c in PHI3]
    OUT.write_text("[\n" + ",\n".join(json.dumps(c) for c in cases) + "\n]\n")


if __name__ == "__main__":
    main()
