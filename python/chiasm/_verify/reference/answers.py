"""Models that answer: prompts, arrays of the processor, stages, logits and greedy tokens."""

from __future__ import annotations

import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import transformers

from .keeping import Keeper, rounded
from .prompts import Prompts
from .stages import hook

_TEXT = ("input_ids", "attention_mask", "token_type_ids", "mm_token_type_ids", "labels")


def see(job: dict[str, Any], step: Callable[[str], None]) -> dict[str, Any]:
    step("loading the model")
    kinds = {"text": "AutoModelForCausalLM", "pictures": "AutoModelForImageTextToText"}
    name = kinds.get(job["kind"]) or {
        "whisper": "WhisperForConditionalGeneration",
        "qwen2_audio": "Qwen2AudioForConditionalGeneration",
        "voxtral": "VoxtralForConditionalGeneration",
    }[job["family"]]
    loader = getattr(transformers, name)
    model = loader.from_pretrained(
        job["model"], dtype=torch.float32, attn_implementation="eager", local_files_only=True
    )
    model = rounded(model, job["dtype"])
    prompts = Prompts(job)
    seen: dict[str, Any] = {"media": [], "cases": []}
    for kind in ("images", "sounds"):
        for medium in job[kind]:
            step(f"preparing {medium['name']}")
            arrays = prompts.arrays(kind, medium)
            if arrays is not None:
                seen["media"].append(
                    {"kind": kind, "name": medium["name"], "arrays": _save(job, medium, arrays)}
                )
    seen["image_std"] = prompts.image_std()
    for case in job["cases"]:
        step(f"running the prompt {case['name']!r}")
        seen["cases"].append(_case(job, model, prompts, case))
    return seen


def _save(job: dict[str, Any], medium: dict[str, Any], arrays: dict[str, Any]) -> list[Any]:
    out = []
    for name, value in arrays.items():
        if name in _TEXT:
            continue
        array = np.asarray(value)
        array = array.astype(np.float32 if array.dtype.kind == "f" else np.int64)
        file = f"{medium['name']}.{name}.npy"
        np.save(pathlib.Path(job["out"]) / file, array)
        out.append({"name": name, "file": file})
    return out


def _case(job: dict[str, Any], model: Any, prompts: Prompts, case: dict[str, Any]) -> Any:
    prompt, special, inputs = prompts.inputs(case)
    if hasattr(model.base_model, "rope_deltas"):
        model.base_model.rope_deltas = None  # left over from the prompt before
    with torch.inference_mode(), Keeper(job["out"], case["name"]) as record:
        hook(job["family"], model, inputs, record)
        record.keep("logits", model(**inputs).logits)
    ids = inputs["decoder_input_ids" if "decoder_input_ids" in inputs else "input_ids"]
    tokens, leads = _greedy(model, inputs, ids.shape[1], job["tokens"])
    return {
        "name": case["name"],
        "prompt": prompt,
        "special": special,
        "images": case["images"],
        "sounds": case["sounds"],
        "ids": ids[0].tolist(),
        "stages": record.stages,
        "tokens": tokens,
        "leads": leads,
    }


def _greedy(model: Any, inputs: dict[str, Any], begin: int, count: int) -> Any:
    """The greedy continuation, and how far each chosen token is before the next best, in logits. Of
    the folder's generation settings only those count that say which tokens end or may not be said."""
    own = model.generation_config
    names = ["bos_token_id", "eos_token_id", "pad_token_id", "decoder_start_token_id"]
    names += ["suppress_tokens", "begin_suppress_tokens"]
    kept = {name: getattr(own, name, None) for name in names}
    model.generation_config = transformers.GenerationConfig(
        **{name: value for name, value in kept.items() if value is not None}
    )
    # Whisper's own generate() cuts sounds into windows and writes its prompt itself.
    generate = transformers.GenerationMixin.generate
    with torch.inference_mode():
        out = generate(
            model,
            **inputs,
            do_sample=False,
            max_new_tokens=count,
            output_scores=True,
            return_dict_in_generate=True,
        )
    model.generation_config = own
    tokens = out.sequences[0, begin:].tolist()
    ends = kept["eos_token_id"]
    ends = ends if isinstance(ends, list) else [ends]
    if tokens and tokens[-1] in ends:
        tokens.pop()
    best = torch.stack([s[0] for s in out.scores]).topk(2).values
    return tokens, (best[:, 0] - best[:, 1]).tolist()

