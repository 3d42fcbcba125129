"""Makes tests/golden/models/position_buckets.json: into which trained position each patch of a side falls.

The ids come from SmolVLMVisionEmbeddings itself, whose position table is filled with the ids. Sides where
a plain floor(i * side / count) differs from float32's rounding are what this is for.
"""
import json
import pathlib

import torch
from transformers.models.smolvlm.configuration_smolvlm import SmolVLMVisionConfig
from transformers.models.smolvlm.modeling_smolvlm import SmolVLMVisionEmbeddings

OUT = pathlib.Path(__file__).parents[1] / "golden" / "models" / "position_buckets.json"
SIDES = [6, 14, 16, 24, 25, 26, 27, 29, 31, 32, 37, 64]
COUNTS = [1, 2, 3, 5, 6, 7, 13, 16, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 47, 58, 64]


def buckets(side, count):
    config = SmolVLMVisionConfig(hidden_size=2, num_attention_heads=1, image_size=side, patch_size=1)
    embeddings = SmolVLMVisionEmbeddings(config)
    with torch.no_grad():
        embeddings.patch_embedding.weight.zero_()
        embeddings.patch_embedding.bias.zero_()
        embeddings.position_embedding.weight.copy_(
            torch.arange(side * side, dtype=torch.float32)[:, None].expand(-1, 2))
        out = embeddings(torch.zeros(1, 3, 1, count), torch.ones(1, 1, count, dtype=torch.bool))
    return [int(v) for v in out[0, :, 0]]


def main():
    records, moved = [], 0
    for side in SIDES:
        for count in sorted({*COUNTS, side}):
            ids = buckets(side, count)
            moved += ids != [i * side // count for i in range(count)]
            records.append(json.dumps({"side": side, "count": count, "buckets": ids}))
    OUT.write_text("[\n" + ",\n".join(records) + "\n]\n")
    print(f"{len(records)} sides, {moved} of them moved by rounding")


if __name__ == "__main__":
    main()
