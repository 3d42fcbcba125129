"""Makes tests/golden/gguf/mmproj-*.gguf: llama.cpp's own conversions, in float32, of what the small random
checkpoints in tests/golden/models have beside their language models.

    git clone https://github.com/ggml-org/llama.cpp && pip install torch transformers safetensors
    python tests/reference/make_mmproj_golden.py llama.cpp

idefics3 and gemma3 go through convert_hf_to_gguf.py; llava and llava_next are written here as an older
script did.
"""

import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import torch
from safetensors.torch import load_file, save_file

GOLDEN = pathlib.Path(__file__).parents[1] / "golden"


def run(source: pathlib.Path, script: str, *arguments: object) -> None:
    environment = {**os.environ, "PYTHONPATH": str(source / "gguf-py")}
    command = [sys.executable, source / script, *arguments]
    subprocess.run([str(part) for part in command], check=True, env=environment)


def convert(source: pathlib.Path, model: str, out: pathlib.Path) -> None:
    folder = GOLDEN / "models" / model
    with tempfile.TemporaryDirectory() as name:
        copy = pathlib.Path(name) / "small"  # the converter writes the folder's name into the file
        copy.mkdir()
        shutil.copy(folder / "preprocessor_config.json", copy)
        config = json.loads((folder / "config.json").read_text())
        # The converter asks for keys that the library's config classes know by heart, and for names as
        # published folders have them.
        vision = {"layer_norm_eps": 1e-6, **config["vision_config"]}
        (copy / "config.json").write_text(json.dumps({**config, "vision_config": vision}))
        tensors = load_file(folder / "model.safetensors")
        scope, published = "vision_tower.", "vision_tower.vision_model."
        names = {name: name.replace(scope, published) for name in tensors if published not in name}
        save_file({names.get(k, k): v for k, v in tensors.items()}, copy / "model.safetensors")
        run(source, "convert_hf_to_gguf.py", copy, "--mmproj", "--outtype", "f32", "--outfile", out)


def convert_llava(source: pathlib.Path, model: str, out: pathlib.Path) -> None:
    """Keys, names (MLPs' two matrices swapped) and number formats of llama.cpp's old
    convert_image_encoder_to_gguf.py, which does not run with transformers 5."""
    sys.path.insert(0, str(source / "gguf-py"))
    import gguf

    folder = GOLDEN / "models" / model
    config = json.loads((folder / "config.json").read_text())
    vision, processor = config["vision_config"], json.loads((folder / "preprocessor_config.json").read_text())
    layers = vision["num_hidden_layers"] + 1 + config["vision_feature_layer"]
    writer = gguf.GGUFWriter(out, "clip")
    for key in ("has_vision_encoder", "has_llava_projector"):
        writer.add_bool(f"clip.{key}", True)
    writer.add_bool("clip.has_text_encoder", False)
    writer.add_bool("clip.use_gelu", False)
    writer.add_string("clip.projector_type", "mlp")
    for key, value in {
        "image_size": vision["image_size"], "patch_size": vision["patch_size"],
        "embedding_length": vision["hidden_size"], "feed_forward_length": vision["intermediate_size"],
        "projection_dim": vision["projection_dim"], "attention.head_count": vision["num_attention_heads"],
        "block_count": layers,
    }.items():  # fmt: skip
        writer.add_uint32(f"clip.vision.{key}", value)
    writer.add_float32("clip.vision.attention.layer_norm_epsilon", 1e-5)
    writer.add_array("clip.vision.feature_layer", [layers])
    if "image_grid_pinpoints" in config:  # LLaVA-NeXT's, [height, width] one after the other
        sides = [side for pair in config["image_grid_pinpoints"] for side in pair]
        writer.add_array("clip.vision.image_grid_pinpoints", sides)
        writer.add_string("clip.vision.image_aspect_ratio", "anyres")
        writer.add_string("clip.vision.mm_patch_merge_type", "spatial_unpad")
    writer.add_array("clip.vision.image_mean", processor["image_mean"])
    writer.add_array("clip.vision.image_std", processor["image_std"])
    names = {
        "embeddings.patch_embedding": "patch_embd", "embeddings.position_embedding": "position_embd",
        "embeddings.class_embedding": "class_embd", "pre_layrnorm": "pre_ln", "encoder.layers": "blk",
        "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
        "self_attn.out_proj": "attn_out", "layer_norm": "ln", "mlp.fc1": "ffn_down", "mlp.fc2": "ffn_up",
    }  # fmt: skip
    for name, tensor in load_file(folder / "model.safetensors").items():
        if name.startswith("multi_modal_projector."):
            there = name.replace("multi_modal_projector.linear_", "mm.").replace("mm.1", "mm.0")
        elif name == "image_newline":
            there = "model.image_newline"
        elif name.startswith("vision_tower.vision_model."):
            there = name.replace("vision_tower.vision_model", "v")
        else:
            continue
        for old, new in names.items():
            there = there.replace(old, new)
        if "post_layernorm" in there or f"v.blk.{layers}." in there:
            continue
        half = tensor.ndim == 4 or (there.startswith("mm.") and tensor.ndim == 2)
        writer.add_tensor(there, tensor.to(torch.float16 if half else torch.float32).numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("llama_cpp", type=pathlib.Path)
    source = parser.parse_args().llama_cpp.resolve()
    folder = GOLDEN / "gguf"
    convert(source, "idefics3_3x3", folder / "mmproj-idefics3.gguf")
    convert(source, "gemma3_sliding", folder / "mmproj-gemma3.gguf")
    convert_llava(source, "llava_clip", folder / "mmproj-llava.gguf")
    convert_llava(source, "llava_next_anyres", folder / "mmproj-llava-next.gguf")


if __name__ == "__main__":
    main()
