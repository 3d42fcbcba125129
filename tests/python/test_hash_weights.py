"""The integer-hash weights of tests/reference: what golden values of large shapes were made with."""
import hashlib
import json
import pathlib
import sys

import pytest

pytest.importorskip("numpy")
sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "reference"))
import hash_weights  # noqa: E402
import random_checkpoint  # noqa: E402


@pytest.mark.parametrize("name, shape, digest", [
    ("lm_head.weight", [49280, 576], "7591ebc5332d39eb"),
    ("model.vision_model.encoder.layers.3.layer_norm1.weight", [768], "5f4f0cc0614d88a7"),
    ("model.vision_model.encoder.layers.3.mlp.fc2.bias", [768], "026cbb84e7a79c00"),
    ("model.text_model.layers.29.mlp.down_proj.weight", [576, 1536], "88d0b258dd40427e"),
])
def test_values_never_change(name, shape, digest):
    values = hash_weights.values(name, shape, 0, min(shape[0], 768))
    assert hashlib.blake2b(hash_weights.bfloat16_bits(values).tobytes(), digest_size=8).hexdigest() == digest


def test_parts_are_the_whole():
    whole = hash_weights.values("lm_head.weight", [64, 3], 0, 190)
    assert whole[100:190].tolist() == hash_weights.values("lm_head.weight", [64, 3], 100, 90).tolist()


def test_tokenizer_has_the_published_size_and_ids():
    tokenizer = random_checkpoint.synthetic_tokenizer()
    ids = {t["content"]: t["id"] for t in tokenizer["added_tokens"]}
    assert len(tokenizer["model"]["vocab"]) == 49152
    assert (ids["<image>"], ids["<end_of_utterance>"]) == (49190, 49279)
    assert {a + b for a, b in tokenizer["model"]["merges"]} <= tokenizer["model"]["vocab"].keys()


def test_parameters_are_those_of_the_shape():
    config = json.loads((random_checkpoint.FOLDER / "config.json").read_text())
    total = 0
    for _, shape in random_checkpoint.tensors(config):
        count = 1
        for size in shape:
            count *= size
        total += count
    assert total == 256_484_928
