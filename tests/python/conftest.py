"""Small random checkpoints with golden values by transformers (tests/reference/make_golden.py)."""

import json
import pathlib

import pytest

import chiasm

GOLDEN = pathlib.Path(__file__).parents[1] / "golden"
MODELS = GOLDEN / "models"
PICTURES = MODELS / "pictures"
VISION = ["smolvlm_2x2", "smolvlm_side25", "idefics3_3x3", "idefics3_side29"]


@pytest.fixture(scope="session")
def models():
    """Loads each model once, in float32 as the golden values are."""
    loaded: dict[str, chiasm.Model] = {}

    def load(name: str) -> chiasm.Model:
        if name not in loaded:
            loaded[name] = chiasm.load(MODELS / name, dtype="float32")
        return loaded[name]

    return load


@pytest.fixture
def model(models):
    return models("smolvlm_2x2")


@pytest.fixture
def text_model(models):
    return models("llama_gqa")


@pytest.fixture
def picture():
    return str(PICTURES / "wide.png")


def golden(name: str) -> dict:
    return json.loads((MODELS / name / "golden.json").read_text(encoding="utf-8"))
