"""Makes tests/golden/wide: what transformers computes at the widths of published models.

    python tests/reference/make_wide_golden.py [name ...]

Every width, head, patch, table and limit is that of the smallest published model of a family; layers and,
where it says so, words are fewer, so that a test takes seconds and little over 1 GB. Weights come from an integer hash (hash_weights.py)
and are not kept: tensors.json lists names, shapes and powers of two, the tests make them anew.
"""
import dataclasses
import hashlib
import json
import pathlib
import sys

import torch
import transformers
from safetensors import safe_open
from transformers import Lfm2Config, Lfm2VlConfig, Qwen2_5_VLConfig, Siglip2VisionConfig

import hash_weights
from families import base, lfm2_vl, qwen2_5_vl
from golden_stages import Golden

ROOT = pathlib.Path(__file__).parents[1] / "golden" / "wide"
TIED_HEAD = -11  # rows that are a head too: small, else a token repeats itself


def lfm2_vl_450m():
    """LiquidAI/LFM2-VL-450M with 6 of 16 decoder layers and 4 of 12 encoder layers."""
    return Lfm2VlConfig(
        vision_config=Siglip2VisionConfig(num_hidden_layers=4, vision_use_head=False),
        text_config=Lfm2Config(
            hidden_size=1024,
            num_attention_heads=16,
            num_key_value_heads=8,
            num_hidden_layers=6,
            intermediate_size=6656,
            layer_types=["conv", "conv", "full_attention"] * 2,
            conv_L_cache=3,
            block_auto_adjust_ff_dim=True,
            block_multiple_of=256,
            vocab_size=65536,
            max_position_embeddings=128000,
            rope_parameters={"rope_type": "default", "rope_theta": 1e6},
            norm_eps=1e-5,
            tie_word_embeddings=True,
        ),
        image_token_id=lfm2_vl.tokenizer().token_to_id("<image>"),
        projector_hidden_size=2560,
        downsample_factor=2,
    )


def qwen2_5_vl_3b():
    """Qwen/Qwen2.5-VL-3B-Instruct with 2 of 36 decoder layers, 3 of 32 encoder layers (the second sees
    all, the others windows) and 2,048 words."""
    return Qwen2_5_VLConfig(
        text_config={
            "hidden_size": 2048,
            "num_attention_heads": 16,
            "num_key_value_heads": 2,
            "num_hidden_layers": 2,
            "intermediate_size": 11008,
            "vocab_size": 2048,
            "max_position_embeddings": 128000,
            "rms_norm_eps": 1e-6,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 1e6,
                "mrope_section": [16, 24, 24],
            },
            "bos_token_id": qwen2_5_vl.PAD_ID,
            "eos_token_id": qwen2_5_vl.EOS_ID,
        },
        vision_config={
            "depth": 3,
            "hidden_size": 1280,
            "num_heads": 16,
            "intermediate_size": 3420,
            "out_hidden_size": 2048,
            "window_size": 112,
            "fullatt_block_indexes": [1],
        },
        tie_word_embeddings=True,
        **qwen2_5_vl.PLACES,
    )


PUBLISHED = {
    **lfm2_vl.IMAGES,
    "preprocessor_config.json": {
        **lfm2_vl.IMAGES["preprocessor_config.json"],
        "encoder_patch_size": 16,
        "max_image_tokens": 256,
        "max_num_patches": 1024,
        "min_image_tokens": 64,
        "size": {"height": 512, "width": 512},
        "tile_size": 512,
    },
}
FOLDERS = [
    dataclasses.replace(
        lfm2_vl.FOLDERS[0], name="lfm2_vl_450m", config=lfm2_vl_450m, files=PUBLISHED
    ),
    dataclasses.replace(
        qwen2_5_vl.FOLDERS[0],
        name="qwen2_5_vl_3b",
        config=qwen2_5_vl_3b,
        files=qwen2_5_vl.images(14, 3136, 12845056),
    ),
]
CASES = ("one", "two")


def hash_tensors(path, tied):
    """(name, shape, power of two or None where it is the usual) of a file's tensors, by name."""
    with safe_open(path, "pt") as file:
        shapes = {name: file.get_slice(name).get_shape() for name in file.keys()}
    return [
        (name, shape, TIED_HEAD if tied and "embed_tokens" in name else None)
        for name, shape in sorted(shapes.items())
    ]


def make(f):
    folder, golden = ROOT / f.name, Golden()
    print(f.name)
    base.build(f, folder)
    weights = folder / "model.safetensors"
    tensors = hash_tensors(weights, f.config().tie_word_embeddings)
    hash_weights.write(tensors, weights)
    ref = base.Reference(f, folder)
    cases = [base.record_case(ref, golden, name, *f.cases[name]) for name in CASES]
    for case in cases:
        print(f"  {case['name']}: {len(case['ids'])} tokens, {len(set(case['greedy']))} distinct greedy, "
              f"margins {case['greedy_margin']:.1e} {case['penalized_margin']:.1e}")
    record = {
        "family": json.loads((folder / "config.json").read_text())["model_type"],
        "dtype": "bfloat16",
        "answers": base.ANSWERS,
        "pictures": [],
        "cases": cases,
        "ends": None,
        "turn": None,
        "weights_blake2b": hashlib.blake2b(weights.read_bytes(), digest_size=16).hexdigest(),
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
    }
    golden.save(folder / "golden.safetensors")
    (folder / "golden.safetensors").chmod(0o644)
    text = json.dumps(record, ensure_ascii=False, separators=(",", ":"))
    (folder / "golden.json").write_text(text + "\n")
    rows = [{"name": n, "shape": s, **({} if p is None else {"power": p})} for n, s, p in tensors]
    (folder / "tensors.json").write_text("[\n" + ",\n".join(map(json.dumps, rows)) + "\n]\n")
    weights.unlink()
    print(f"  {sum(p.stat().st_size for p in folder.iterdir()) // 1000} KB")


def main():
    torch.set_num_threads(2)
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    for folder in FOLDERS:
        if not sys.argv[1:] or folder.name in sys.argv[1:]:
            make(folder)


if __name__ == "__main__":
    main()
