"""Embedders: arrays of the picture processor, stages and vectors of texts and pictures."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Callable
from typing import Any

import torch
import transformers
from safetensors.torch import load_file

from .keeping import Keeper, rounded
from .prompts import _image


def see(job: dict[str, Any], step: Callable[[str], None]) -> dict[str, Any]:
    step("loading the model")
    model = transformers.AutoModel.from_pretrained(
        job["model"], dtype=torch.float32, attn_implementation="eager", local_files_only=True
    )
    model = rounded(model, job["dtype"])
    tokenizer = transformers.AutoTokenizer.from_pretrained(job["model"])
    towers = hasattr(model, "vision_model")
    seen: dict[str, Any] = {"media": [], "cases": [], "image_std": None}
    for i, text in enumerate(job["texts"]):
        step(f"running text {i + 1}")
        name = f"text {i + 1}"
        with torch.inference_mode(), Keeper(job["out"], name) as record:
            ids = (_tower_text if towers else _sentence)(job, model, tokenizer, text, record)
        seen["cases"].append({"name": name, "text": text, "ids": ids, "stages": record.stages})
    if not towers:
        return seen
    processor = transformers.AutoImageProcessor.from_pretrained(job["model"])
    for medium in job["images"]:
        step(f"running {medium['name']}")
        inputs = processor(images=_image(medium), return_tensors="pt")
        with torch.inference_mode(), Keeper(job["out"], medium["name"]) as record:
            tower = model.vision_model
            record.layers(tower.encoder.layers, "vision")
            if job["family"] == "siglip":
                record.output(tower.post_layernorm, "vision.out")
            vector = model.get_image_features(**inputs)
            record.keep("vector", _unit(getattr(vector, "pooler_output", vector)))
        seen["cases"].append(
            {"name": medium["name"], "image": medium["name"], "stages": record.stages}
        )
    return seen


def _unit(vector: Any) -> Any:
    return torch.nn.functional.normalize(vector, dim=-1)


def _tower_text(job: dict[str, Any], model: Any, tokenizer: Any, text: str, record: Keeper) -> Any:
    longest = model.config.text_config.max_position_embeddings
    padded = "max_length" if job["family"] == "siglip" else False  # trained on texts of full length
    options = {"padding": padded, "max_length": longest, "truncation": True}
    ids = tokenizer(text, return_tensors="pt", **options)["input_ids"]
    tower = model.text_model
    record.layers(tower.encoder.layers, "text")
    record.output(tower.final_layer_norm, "text.out")
    vector = model.get_text_features(input_ids=ids)
    record.keep("vector", _unit(getattr(vector, "pooler_output", vector)))
    return ids[0].tolist()


def _sentence(job: dict[str, Any], model: Any, tokenizer: Any, text: str, record: Keeper) -> Any:
    """As sentence-transformers: the rows of a text's tokens, pooled, one long."""
    longest = _longest(pathlib.Path(job["model"]), model.config)
    inputs = tokenizer(text, return_tensors="pt", max_length=longest, truncation=True)
    record.output(model.embeddings, "text.embed")
    layers = model.transformer.layer if job["family"] == "distilbert" else model.encoder.layer
    for i, layer in enumerate(layers):
        record.output(layer, f"text.layers.{i}")
    hidden = model(**inputs).last_hidden_state
    folder = pathlib.Path(job["model"])
    mode = _pooling(folder)
    pooled = {"cls_token": hidden[:, 0], "max_tokens": hidden.amax(1), "mean_tokens": hidden.mean(1)}
    record.keep("vector", _unit(_dense(folder, pooled[mode])))
    return inputs["input_ids"][0].tolist()


def _longest(folder: pathlib.Path, config: Any) -> int:
    positions = int(config.max_position_embeddings)
    if "roberta" in config.model_type:  # whose positions begin after the padding token's
        positions -= config.pad_token_id + 1
    file = folder / "sentence_bert_config.json"
    if not file.exists():
        return positions
    settings = json.loads(file.read_text(encoding="utf-8"))
    return min(positions, int(settings.get("max_seq_length") or positions))


def _modules(folder: pathlib.Path, kind: str) -> list[tuple[pathlib.Path, dict[str, Any]]]:
    """Folders and settings of sentence-transformers' modules of a kind."""
    file = folder / "modules.json"
    modules = json.loads(file.read_text(encoding="utf-8")) if file.exists() else []
    found = [folder / m["path"] for m in modules if m["type"].endswith(kind)]
    return [(f, json.loads((f / "config.json").read_text(encoding="utf-8"))) for f in found]


def _pooling(folder: pathlib.Path) -> str:
    for _, config in _modules(folder, "Pooling"):
        for mode in ("cls_token", "max_tokens"):
            if config.get(f"pooling_mode_{mode}"):
                return mode
    return "mean_tokens"


def _dense(folder: pathlib.Path, vector: Any) -> Any:
    """The layers behind the pooling. Their activation is named by its class of torch."""
    for own, config in _modules(folder, "Dense"):
        weights = load_file(own / "model.safetensors")
        activation = getattr(torch.nn, config["activation_function"].rpartition(".")[2])()
        bias = weights["linear.bias"].float() if "linear.bias" in weights else None
        vector = torch.nn.functional.linear(vector, weights["linear.weight"].float(), bias)
        vector = activation(vector)
    return vector
