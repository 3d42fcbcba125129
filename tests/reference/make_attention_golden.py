"""Makes tests/golden/attention: what the tokens of greedy answers attend to, by transformers' eager
attention over prompt and answer, averaged over heads.

    python tests/reference/make_attention_golden.py

Needs the folders of make_golden.py and make_family_golden.py.
"""

import json
import pathlib

import numpy as np
import torch
import transformers
from PIL import Image
from safetensors.numpy import save_file
from transformers import AutoModelForImageTextToText, AutoProcessor

ROOT = pathlib.Path(__file__).parents[1] / "golden"
MODELS, OUT = ROOT / "models", ROOT / "attention"
# In turn: tiles and an overview; positions of three axes; windows, and pictures that see themselves
# both ways; a prompt that sees itself both ways, under a capped softmax; pictures without their padding;
# rows that the first layers add.
FOLDERS = (
    "smolvlm_2x2",
    "qwen2_5_vl_windows",
    "gemma3_sliding",
    "paligemma_2",
    "llava_next_anyres",
    "qwen3_vl_deepstack",
)
ANSWER = 6  # tokens
TYPES = ("mm_token_type_ids", "token_type_ids")


def extended(inputs, answer, answer_type):
    """The inputs of the prompt, with an answer behind it."""
    ids = torch.cat([inputs["input_ids"], torch.tensor([answer])], dim=1)
    out = {**inputs, "input_ids": ids, "attention_mask": torch.ones_like(ids)}
    for key in TYPES:
        if key in out:
            out[key] = torch.nn.functional.pad(out[key], (0, len(answer)), value=answer_type)
    return out


def attention(model, inputs, answer, answer_type=0):
    """[layers, answer, rows] of the rows that each token of the answer was drawn from."""
    more = extended(inputs, answer[:-1], answer_type)
    if hasattr(model.model, "rope_deltas"):  # left over from the prompt before
        model.model.rope_deltas = None
    with torch.inference_mode():
        layers = model(**more, output_attentions=True).attentions
    first = inputs["input_ids"].shape[1] - 1
    return torch.stack([layer[0].mean(dim=0)[first:] for layer in layers]).numpy()


def record(folder):
    path = MODELS / folder
    case = json.loads((path / "golden.json").read_text())["cases"][0]
    model = AutoModelForImageTextToText.from_pretrained(
        path, dtype=torch.float32, attn_implementation="eager"
    ).eval()
    images = [Image.open(MODELS / "pictures" / name) for name in case["images"]]
    inputs = dict(
        AutoProcessor.from_pretrained(path)(
            text=[case["prompt"]], images=[images], return_tensors="pt"
        )
    )
    inputs.pop("labels", None)
    assert inputs["input_ids"][0].tolist() == case["ids"], folder
    answer = case["greedy"][:ANSWER]
    # PaliGemma's prompt sees itself both ways and has type 0; what is said has type 1.
    seen = attention(model, inputs, answer, answer_type=int(folder.startswith("paligemma")))
    print(f"{folder}: {seen.shape}, rows sum to {seen.sum(-1).min():.6f} to {seen.sum(-1).max():.6f}")
    return {"prompt": case["prompt"], "images": case["images"], "answer": answer}, seen


if __name__ == "__main__":
    OUT.mkdir(exist_ok=True)
    cases, tensors = {}, {}
    for folder in FOLDERS:
        cases[folder], tensors[folder] = record(folder)
    versions = {"torch": torch.__version__, "transformers": transformers.__version__}
    text = json.dumps({"folders": cases, "versions": versions}, indent=1, ensure_ascii=False)
    (OUT / "golden.json").write_text(text + "\n", encoding="utf-8")
    save_file({k: v.astype(np.float32) for k, v in tensors.items()}, OUT / "golden.safetensors")
