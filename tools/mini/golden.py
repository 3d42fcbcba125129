"""Golden values of models/chiasm-mini for Chiasm's tests, by transformers and by the definition in
`network/`: `python -m tools.mini verify --write-golden`, once the weights have changed."""

import hashlib
import json
from pathlib import Path

import numpy as np
import torch
import transformers
from PIL import Image

from .evaluation.backends import TransformersBackend
from .export import WEIGHTS

FOLDER = Path("tests/golden/mini")
QUESTIONS = (
    ("docs/assets/photo.png", "What is in this picture?"),
    ("docs/assets/scene.png", "How many shapes are there?"),
    ("docs/assets/sign.png", "What does the sign say?"),
    ("tests/golden/models/pictures/wide.png", "Describe the picture."),
)
TEXTS = ("a photo of a dog", "a red circle and a blue square", 'the text "open"', "")
ANSWER_TOKENS = 24
BEAMS = {"num_beams": 4, "num_return_sequences": 3, "max_new_tokens": 24}
LOGIT_STRIDE, ROW_STRIDE = 997, 8  # the first is odd, so that every place of a row is met


def write_golden(folder: Path) -> None:
    """Samples of logits, greedy answers and samples of search rows, in float32."""
    torch.set_num_threads(1)  # the order of the sums is then the same everywhere
    runtime = TransformersBackend(folder, "float32")
    pictures = [Image.open(path).convert("RGB") for path, _ in QUESTIONS]
    golden = {
        "made_with": f"transformers {transformers.__version__}, torch {torch.__version__}",
        "weights": hashlib.blake2b((folder / WEIGHTS).read_bytes(), digest_size=16).hexdigest(),
        "questions": [
            _question(runtime, path, picture, question)
            for (path, question), picture in zip(QUESTIONS, pictures)
        ],
        "texts": TEXTS,
        "row_stride": ROW_STRIDE,
        "text_rows": _rows(runtime.embed_texts(list(TEXTS))),
        "picture_rows": _rows(runtime.embed_pictures(pictures)),
    }
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / "golden.json").write_text(json.dumps(golden, indent=1) + "\n", encoding="utf-8")
    print(f"{FOLDER / 'golden.json'} holds the values of these weights")


def _question(runtime: TransformersBackend, path: str, picture, question: str) -> dict:
    inputs = runtime.inputs([picture], [question])
    with torch.no_grad():
        logits = runtime.model(**inputs).logits[0].numpy()
    return {
        "picture": path,
        "question": question,
        "ids": inputs.input_ids[0].tolist(),
        "shape": list(logits.shape),
        "stride": LOGIT_STRIDE,
        "norm": float(np.linalg.norm(logits.astype(np.float64))),
        "logits": _numbers(logits.reshape(-1)[::LOGIT_STRIDE]),
        "answer": runtime.ask([picture], [question])[0],
        **_attention(runtime, inputs),
        "beams": _beams(runtime, inputs),
    }


def _attention(runtime: TransformersBackend, inputs) -> dict:
    """The greedy answer's tokens, and what each gave to the picture's of its attention: [answer,
    picture tokens], of the row that it was drawn from, averaged over heads and layers."""
    length = inputs.input_ids.shape[1]
    model = runtime.model
    with torch.no_grad():
        said = model.generate(**inputs, max_new_tokens=ANSWER_TOKENS, do_sample=False)
        answer = [i for i in said[0, length:].tolist() if i != runtime.processor.tokenizer.eos_token_id]
        ids = torch.cat([inputs.input_ids, torch.tensor([answer[:-1]], dtype=torch.long)], dim=1)
        more = {**inputs, "input_ids": ids, "attention_mask": torch.ones_like(ids)}
        model.set_attn_implementation("eager")  # the others give no weights
        layers = model(**more, output_attentions=True).attentions
        model.set_attn_implementation("sdpa")
    seen = torch.stack([layer[0].mean(dim=0) for layer in layers]).mean(dim=0)
    columns = inputs.input_ids[0] == model.config.image_token_id
    picture = seen[length - 1 :, :length][:, columns].numpy()
    return {"answer_ids": answer, "attention": [_numbers(row) for row in picture]}


def _beams(runtime: TransformersBackend, inputs) -> dict:
    """The best answers of a beam search; none where float64 ranks them otherwise."""
    answers = _searched(runtime, inputs)
    floats = {k: v.double() if v.is_floating_point() else v for k, v in inputs.items()}
    runtime.model.double()
    exact = _searched(runtime, floats)
    runtime.model.float()
    if [a["ids"] for a in answers] != [a["ids"] for a in exact]:
        answers = []
    return {"settings": BEAMS, "answers": answers}


def _searched(runtime: TransformersBackend, inputs) -> list[dict]:
    with torch.inference_mode():
        out = runtime.model.generate(
            **inputs,
            **BEAMS,
            do_sample=False,
            return_dict_in_generate=True,
            output_scores=True,
        )
    ends = runtime.model.generation_config.eos_token_id
    ends = ends if isinstance(ends, list) else [ends]
    answers = []
    for row, score in zip(out.sequences.tolist(), out.sequences_scores.tolist()):
        ids = row[inputs["input_ids"].shape[1] :]
        end = min((ids.index(e) for e in ends if e in ids), default=len(ids))
        answers.append({"ids": ids[:end], "score": score})
    return answers


def _rows(rows: np.ndarray) -> list[list[float]]:
    return [_numbers(row[::ROW_STRIDE]) for row in rows]


def _numbers(values: np.ndarray) -> list[float]:
    """Nine digits: enough for a float32."""
    return [float(f"{value:.9g}") for value in values]
