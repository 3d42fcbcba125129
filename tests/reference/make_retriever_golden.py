"""Makes tests/golden/retrievers: ColPali and ColQwen2 over the small models of
families/paligemma.py and families/qwen2_vl.py, and what transformers gives texts and pictures with
them, in float32 on the weights as stored.

    python tests/reference/make_retriever_golden.py [name ...]

Needs what make_golden.py needs, and its pictures.
"""

import json
import pathlib
import sys

import torch
import transformers
from families import base, paligemma, qwen2_vl, tokenizers
from PIL import Image
from transformers import (AutoImageProcessor, AutoTokenizer, ColPaliConfig, ColPaliForRetrieval,
                          ColPaliProcessor, ColQwen2Config, ColQwen2ForRetrieval,
                          ColQwen2Processor)

OUT = pathlib.Path(__file__).parents[1] / "golden/retrievers"
TEXTS = ["A red bicycle?", "How many people are there in 1234 pictures", ""]
SIZE = 20


def build(name, inner, wrapper, config):
    folder = OUT / name
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    model = wrapper(config(vlm_config=inner.config(), embedding_dim=SIZE)).eval()
    base.randomise(model, sum(map(ord, name)))
    model.to(torch.bfloat16).save_pretrained(folder)
    (folder / "model.safetensors").chmod(0o644)
    tokenizers.write(inner.tokenizer(), folder, inner.tokenizer_config)
    for file, value in inner.files.items():
        base.write_json(folder / file, value)
    return folder


def flat(rows):
    return {"shape": list(rows.shape), "values": [float(f"{x:.7g}") for x in rows.flatten().tolist()]}


def grid_positions(vlm, inputs):
    """Along time, height and width, as the weights were trained and as transformers 4 gave them;
    5.23 hands the embeddings on without ids, and the model counts all rows one by one."""
    ids = inputs["input_ids"]
    return vlm.get_rope_index(
        ids, mm_token_type_ids=(ids == vlm.config.image_token_id).int(),
        image_grid_thw=inputs["image_grid_thw"])[0]


def make(name, inner, wrapper, config, processor_class):
    folder = build(name, inner, wrapper, config)
    model = wrapper.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    processor = processor_class(AutoImageProcessor.from_pretrained(folder),
                                AutoTokenizer.from_pretrained(folder))
    texts, pictures = [], []
    for text in TEXTS:
        with torch.inference_mode():
            rows = model(**processor(text=[text], return_tensors="pt")).embeddings[0]
        texts.append({"text": text, "rows": flat(rows)})
    for file in base.PICTURES[:3]:
        image = Image.open(base.ROOT / "pictures" / file).convert("RGB")
        inputs = processor(images=[image], return_tensors="pt")
        inputs.pop("labels", None)
        if name == "colqwen2":
            inputs["position_ids"] = grid_positions(model.vlm, inputs)
        with torch.inference_mode():
            rows = model(**inputs).embeddings[0]
        pictures.append({"file": file, "rows": flat(rows)})
    queries = [torch.tensor(t["rows"]["values"]).reshape(t["rows"]["shape"]) for t in texts]
    pages = [torch.tensor(p["rows"]["values"]).reshape(p["rows"]["shape"]) for p in pictures]
    scores = processor.score_retrieval(queries, pages)
    record = {"texts": texts, "pictures": pictures, "scores": scores.tolist(),
              "versions": {"torch": torch.__version__, "transformers": transformers.__version__}}
    (folder / "golden.json").write_text(
        json.dumps(record, ensure_ascii=False, separators=(",", ":")) + "\n")
    print(name, sum(p.stat().st_size for p in folder.iterdir()) // 1000, "KB",
          [p["rows"]["shape"] for p in pictures])


def main():
    torch.set_num_threads(2)
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    kinds = {
        "colpali": (paligemma.FOLDERS[0], ColPaliForRetrieval, ColPaliConfig, ColPaliProcessor),
        "colqwen2": (qwen2_vl.FOLDERS[0], ColQwen2ForRetrieval, ColQwen2Config, ColQwen2Processor),
    }
    for name in sys.argv[1:] or kinds:
        make(name, *kinds[name])


if __name__ == "__main__":
    main()
