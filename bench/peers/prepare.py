"""Makes what the comparison runs on, once: python bench/peers/prepare.py FOLDER --gguf SMOLLM2.gguf ...

    vlm/            SmolVLM-256M's shape with hash weights (tests/reference/random_checkpoint.py) and
                    SmolLM2's own vocabulary, without which llama.cpp's converter does not know it
    single/         the same weights, with which any picture is a single tile
    vlm-*.gguf      llama.cpp's conversions: text f16 and q8_0, mmproj f16 and q8_0
    vision.xml      OpenVINO's export of encoder and projector, traced from torch in float32
    vision.onnx     the same for onnxruntime; vision-int8.onnx as its quantizer makes it

Needs torch, transformers and gguf, and openvino or onnx and onnxruntime for the exports; run it with the
peers' interpreter.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import subprocess
import sys
from typing import Any

ROOT = pathlib.Path(__file__).resolve().parents[2]


def tokenizer(gguf: pathlib.Path) -> str:
    """tokenizer.json with the vocabulary of a SmolLM2 GGUF file and the picture tokens behind it."""
    import gguf as reader

    sys.path.insert(0, str(ROOT / "tests" / "reference"))
    import random_checkpoint

    fields = reader.GGUFReader(gguf).fields
    tokens = fields["tokenizer.ggml.tokens"].contents()
    merges = fields["tokenizer.ggml.merges"].contents()
    out = random_checkpoint.synthetic_tokenizer(len(tokens))
    special = {i: text for i, text in enumerate(tokens[:17])}
    for token in out["added_tokens"]:
        token["content"] = special.get(token["id"], token["content"])
    out["model"]["vocab"] = {text: i for i, text in enumerate(tokens)}
    out["model"]["merges"] = [merge.split(" ") for merge in merges]
    return json.dumps(out, ensure_ascii=False, separators=(",", ":"))


def make_checkpoint(folder: pathlib.Path, gguf: pathlib.Path) -> None:
    made = ROOT / "tests" / "reference" / "random_checkpoint.py"
    words = folder / "tokenizer.json"
    words.write_text(tokenizer(gguf), encoding="utf-8")
    vlm, single = folder / "vlm", folder / "single"
    subprocess.run([sys.executable, made, vlm, "--tokenizer", words], check=True)
    config = json.loads((vlm / "config.json").read_text())
    config["text_config"]["architectures"] = ["VLlama3ForCausalLM"]
    (vlm / "config.json").write_text(json.dumps(config, indent=1))
    single.mkdir(exist_ok=True)
    for file in vlm.iterdir():
        (single / file.name).unlink(missing_ok=True)
        (single / file.name).symlink_to(file.resolve())
    path = single / "preprocessor_config.json"
    settings = json.loads(path.read_text())
    path.unlink()
    path.write_text(json.dumps({**settings, "size": {"longest_edge": 512}}))


def convert(folder: pathlib.Path, source: pathlib.Path, build: pathlib.Path) -> None:
    """To llama.cpp's formats, with the converter beside its source."""
    convert_hf = [sys.executable, source / "convert_hf_to_gguf.py", folder / "vlm"]
    environment = {**os.environ, "PYTHONPATH": str(source / "gguf-py")}

    def run(*command: object) -> None:
        subprocess.run([str(part) for part in command], check=True, env=environment)

    f16 = folder / "vlm-f16.gguf"
    run(*convert_hf, "--outtype", "f16", "--outfile", f16)
    for kind in ("f16", "q8_0"):
        out = folder / f"vlm-mmproj-{kind}.gguf"
        run(*convert_hf, "--mmproj", "--outtype", kind, "--outfile", out)
    run(build / "bin" / "llama-quantize", f16, folder / "vlm-q8_0.gguf", "q8_0")


def encoder(folder: pathlib.Path) -> Any:
    """Vision tower and connector as one torch module of a whole tile's pixels.

    The positions of a whole tile are 0, 1, 2, ...; how transformers finds them (bucketize, masked writes)
    becomes a graph that onnxruntime refuses."""
    import torch
    import transformers

    kind = transformers.AutoModelForImageTextToText
    inner = kind.from_pretrained(folder / "vlm", dtype=torch.float32).eval().model

    class Encoder(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tower, self.connector = inner.vision_model, inner.connector

        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            embeddings = self.tower.embeddings
            patches = embeddings.patch_embedding(pixels).flatten(2).transpose(1, 2)
            rows = patches + embeddings.position_embedding.weight
            seen = self.tower.encoder(inputs_embeds=rows, attention_mask=None).last_hidden_state
            return self.connector(self.tower.post_layernorm(seen))

    return Encoder()


def export_openvino(folder: pathlib.Path) -> None:
    import openvino
    import torch

    example = torch.zeros(1, 3, 512, 512)
    model = openvino.convert_model(encoder(folder), example_input=example, input=[1, 3, 512, 512])
    openvino.save_model(model, folder / "vision.xml", compress_to_fp16=False)


def export_onnx(folder: pathlib.Path) -> None:
    import torch
    from onnxruntime.quantization import QuantType, quantize_dynamic

    out, example = folder / "vision.onnx", torch.zeros(1, 3, 512, 512)
    torch.onnx.export(encoder(folder), (example,), out, input_names=["pixels"], dynamo=False)
    quantize_dynamic(
        out,
        folder / "vision-int8.onnx",
        weight_type=QuantType.QInt8,
        per_channel=True,
        op_types_to_quantize=["MatMul"],
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--gguf", type=pathlib.Path, required=True, help="SmolLM2-135M-Instruct, Q4_1")
    parser.add_argument("--llama-source", type=pathlib.Path, help="llama.cpp's source folder")
    parser.add_argument("--llama-build", type=pathlib.Path, help="its build folder")
    parser.add_argument("--openvino", action="store_true", help="export the encoder for OpenVINO")
    parser.add_argument("--onnx", action="store_true", help="export the encoder for onnxruntime")
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    if not (args.folder / "single" / "preprocessor_config.json").exists():
        make_checkpoint(args.folder, args.gguf)
    if args.llama_source and args.llama_build:
        convert(args.folder, args.llama_source, args.llama_build)
    if args.openvino:
        export_openvino(args.folder)
    if args.onnx:
        export_onnx(args.folder)


if __name__ == "__main__":
    main()
