"""GGUF files by llama.cpp: prompt tokens, logits and greedy tokens. It shows nothing of what lies between."""

from __future__ import annotations

import pathlib
from collections.abc import Callable
from typing import Any

import llama_cpp
import numpy as np

_LEAST_CONTEXT = 256  # what llama.cpp rounds up to anyway


def see(job: dict[str, Any], step: Callable[[str], None]) -> dict[str, Any]:
    step("loading the model")
    length = max(len(case["words"].encode()) for case in job["cases"]) + job["tokens"] + 8
    model = llama_cpp.Llama(
        job["model"],
        n_ctx=max(_LEAST_CONTEXT, length),
        n_threads=job["threads"] or None,
        n_threads_batch=job["threads"] or None,
        n_gpu_layers=0,
        logits_all=True,
        type_k=llama_cpp.GGML_TYPE_F32,
        type_v=llama_cpp.GGML_TYPE_F32,
        verbose=False,
    )
    seen: dict[str, Any] = {"media": [], "cases": [], "image_std": None}
    seen["architecture"] = model.metadata["general.architecture"]
    seen["versions"] = {"llama-cpp-python": llama_cpp.__version__}
    for case in job["cases"]:
        step(f"running the prompt {case['name']!r}")
        seen["cases"].append(_case(job, model, case))
    return seen


def _case(job: dict[str, Any], model: Any, case: dict[str, Any]) -> dict[str, Any]:
    ids = model.tokenize(case["words"].encode(), add_bos=True, special=True)
    model.reset()
    model.eval(ids)
    logits = np.array(model.scores[: len(ids)], np.float32)
    file = f"{case['name']}.logits.f32"
    logits.tofile(pathlib.Path(job["out"]) / file)
    tokens, leads = [], []
    vocabulary = llama_cpp.llama_model_get_vocab(model._model.model)
    for _ in range(job["tokens"]):
        last = model.scores[model.n_tokens - 1]
        best = np.argpartition(last, -2)[-2:]
        token = int(last.argmax())
        leads.append(float(np.ptp(last[best])))
        if llama_cpp.llama_vocab_is_eog(vocabulary, token):
            break
        tokens.append(token)
        model.eval([token])
    stage = {"name": "logits", "file": file, "rows": logits.shape[0], "columns": logits.shape[1]}
    return {
        "name": case["name"],
        "prompt": case["words"],
        "special": True,
        "images": [],
        "sounds": [],
        "ids": ids,
        "stages": [stage],
        "tokens": tokens,
        "leads": leads,
    }
