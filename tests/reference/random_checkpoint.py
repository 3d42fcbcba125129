"""Writes a model folder of SmolVLM-256M's full shape with weights from an integer hash (hash_weights.py).

    python tests/reference/random_checkpoint.py FOLDER [--tokenizer tokenizer.json]

A complete Hugging Face folder, 513 MB in bfloat16; needs NumPy alone and a few seconds. The words such a
model says mean nothing. Its vocabulary is made by a rule (`synthetic_tokenizer`) unless one is given: byte
level BPE of the published size, with the published ids for the picture tokens. The other files are copies
of tests/golden/large/folder, written after the published ones.
"""
import argparse
import itertools
import json
import pathlib
import shutil

import hash_weights

FOLDER = pathlib.Path(__file__).parents[1] / "golden" / "large" / "folder"


def tensors(config):
    """(name, shape) of every tensor, in the order of the file."""
    v, t = config["vision_config"], config["text_config"]
    dim, inner, patch = v["hidden_size"], v["intermediate_size"], v["patch_size"]
    out = []
    tower = "model.vision_model."
    out.append((tower + "embeddings.patch_embedding.weight", [dim, 3, patch, patch]))
    out.append((tower + "embeddings.patch_embedding.bias", [dim]))
    out.append((tower + "embeddings.position_embedding.weight", [(v["image_size"] // patch) ** 2, dim]))
    for i in range(v["num_hidden_layers"]):
        layer = f"{tower}encoder.layers.{i}."
        shapes = {"layer_norm1": [dim], "self_attn.q_proj": [dim, dim], "self_attn.k_proj": [dim, dim],
                  "self_attn.v_proj": [dim, dim], "self_attn.out_proj": [dim, dim], "layer_norm2": [dim],
                  "mlp.fc1": [inner, dim], "mlp.fc2": [dim, inner]}
        for part, shape in shapes.items():
            out += [(f"{layer}{part}.weight", shape), (f"{layer}{part}.bias", shape[:1])]
    out += [(tower + "post_layernorm.weight", [dim]), (tower + "post_layernorm.bias", [dim])]

    hidden, inner = t["hidden_size"], t["intermediate_size"]
    kv = t["num_key_value_heads"] * t["head_dim"]
    q = t["num_attention_heads"] * t["head_dim"]
    out.append(("model.connector.modality_projection.proj.weight",
                [hidden, dim * config["scale_factor"] ** 2]))
    out.append(("model.text_model.embed_tokens.weight", [t["vocab_size"], hidden]))
    for i in range(t["num_hidden_layers"]):
        layer = f"model.text_model.layers.{i}."
        shapes = {"input_layernorm": [hidden], "self_attn.q_proj": [q, hidden],
                  "self_attn.k_proj": [kv, hidden], "self_attn.v_proj": [kv, hidden],
                  "self_attn.o_proj": [hidden, q], "post_attention_layernorm": [hidden],
                  "mlp.gate_proj": [inner, hidden], "mlp.up_proj": [inner, hidden],
                  "mlp.down_proj": [hidden, inner]}
        out += [(f"{layer}{part}.weight", shape) for part, shape in shapes.items()]
    out += [("model.text_model.norm.weight", [hidden]), ("lm_head.weight", [t["vocab_size"], hidden])]
    return out


def byte_letters():
    """GPT-2's printable stand-ins for the 256 bytes, in order of their code points."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    return [chr(b) for b in printable] + [chr(256 + i) for i in range(256 - len(printable))]


def synthetic_tokenizer(size=49152):
    """A byte-level BPE vocabulary by rule: 17 special tokens, the bytes, a space before each letter, all
    pairs of letters, a space before those, then pairs of pairs until it is full; the picture tokens at
    their published ids after it."""
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"] + [f"<special_{i}>" for i in range(14)]
    letters = "etaoinshrdlucmfwypvbgkjqxz"
    pairs = [a + b for a, b in itertools.product(letters, letters)]
    merges = [("Ġ", a) for a in letters] + [(p[0], p[1]) for p in pairs]
    merges += [("Ġ", p) for p in pairs] + [("Ċ", "Ċ")]
    vocab = special + byte_letters()
    merges += list(itertools.islice(itertools.product(pairs, pairs), size - len(vocab) - len(merges)))
    vocab += [a + b for a, b in merges]
    image = (["<global-img>"] + [f"<row_{r}_col_{c}>" for r in range(1, 7) for c in range(1, 7)]
             + ["<fake_token_around_image>", "<image>"]
             + [f"<|reserved_special_token_{i}|>" for i in range(88)] + ["<end_of_utterance>"])
    added = list(enumerate(special)) + list(enumerate(image, start=size))
    return {
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": [{"id": i, "content": t, "single_word": False, "lstrip": False, "rstrip": False,
                          "normalized": False, "special": True} for i, t in added],
        "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Digits", "individual_digits": True},
            {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}]},
        "post_processor": None,
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                  "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False,
                  "ignore_merges": False, "vocab": {t: i for i, t in enumerate(vocab)},
                  "merges": [list(m) for m in merges]},
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--tokenizer", type=pathlib.Path, help="a tokenizer.json to use instead")
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    for file in FOLDER.iterdir():
        shutil.copyfile(file, args.folder / file.name)
    if args.tokenizer:
        shutil.copyfile(args.tokenizer, args.folder / "tokenizer.json")
    else:
        text = json.dumps(synthetic_tokenizer(), ensure_ascii=False, separators=(",", ":"))
        (args.folder / "tokenizer.json").write_text(text, encoding="utf-8")
    config = json.loads((FOLDER / "config.json").read_text())
    # Under another name until complete, so that an interrupted run leaves no half file behind.
    part = args.folder / "model.safetensors.part"
    hash_weights.write([(name, shape, None) for name, shape in tensors(config)], part)
    part.rename(args.folder / "model.safetensors")


if __name__ == "__main__":
    main()
