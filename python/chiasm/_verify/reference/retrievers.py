"""Multi-vector retrievers: the vectors of the tokens of texts and of pages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import transformers

from .keeping import Keeper, rounded
from .prompts import _image

_NAMES = {"colpali": "ColPali", "colqwen2": "ColQwen2"}


def see(job: dict[str, Any], step: Callable[[str], None]) -> dict[str, Any]:
    step("loading the model")
    name = _NAMES[job["family"]]
    model = getattr(transformers, f"{name}ForRetrieval").from_pretrained(
        job["model"], dtype=torch.float32, attn_implementation="eager", local_files_only=True
    )
    model = rounded(model, job["dtype"])
    processor = getattr(transformers, f"{name}Processor")(
        transformers.AutoImageProcessor.from_pretrained(job["model"]),
        transformers.AutoTokenizer.from_pretrained(job["model"]),
    )
    seen: dict[str, Any] = {"media": [], "cases": [], "image_std": None}

    def add(case: str, inputs: dict[str, Any], **what: str) -> None:
        step(f"running {case}")
        with torch.inference_mode(), Keeper(job["out"], case) as record:
            record.keep("vector", model(**inputs).embeddings)
        seen["cases"].append({"name": case, **what, "stages": record.stages})

    for i, text in enumerate(job["texts"]):
        add(f"text {i + 1}", processor(text=[text], return_tensors="pt"), text=text)
    for medium in job["images"]:
        inputs = processor(images=[_image(medium)], return_tensors="pt")
        inputs.pop("labels", None)
        if job["family"] == "colqwen2":
            inputs["position_ids"] = _positions(model.vlm, inputs)
        add(medium["name"], inputs, image=medium["name"])
    return seen


def _positions(vlm: Any, inputs: dict[str, Any]) -> Any:
    """Along time, height and width, as the weights were trained: transformers 5.23 hands the model
    embeddings without ids, and it would count all rows one by one."""
    ids = inputs["input_ids"]
    return vlm.get_rope_index(
        ids,
        mm_token_type_ids=(ids == vlm.config.image_token_id).int(),
        image_grid_thw=inputs["image_grid_thw"],
    )[0]
