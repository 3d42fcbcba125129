"""`chiasm.load_retriever`, and vectors of a model that answers."""

import json

import numpy as np
import pytest
from conftest import GOLDEN, MODELS, PICTURES

import chiasm
from chiasm import MediaError, ModelError, RequestError


@pytest.mark.parametrize("name", ["colpali", "colqwen2"])
def test_vectors_and_scores_of_the_reference(name):
    folder = GOLDEN / "retrievers" / name
    golden = json.loads((folder / "golden.json").read_text(encoding="utf-8"))
    retriever = chiasm.load_retriever(folder, dtype="float32")
    assert retriever.info.family == name and retriever.info.size == 20
    texts = retriever.embed_text(t["text"] for t in golden["texts"])
    pages = retriever.embed_image([PICTURES / p["file"] for p in golden["pictures"]])
    for rows, want in zip([*texts, *pages], [*golden["texts"], *golden["pictures"]]):
        assert rows.dtype == np.float32
        values = np.reshape(want["rows"]["values"], want["rows"]["shape"])
        np.testing.assert_allclose(rows, values, atol=1e-5)
    scores = retriever.score(texts, pages)
    np.testing.assert_allclose(scores, golden["scores"], atol=1e-4)
    with pytest.raises(MediaError, match="picture 1"):
        retriever.embed_image([b"no picture"])
    for nothing in ("one text", 3, None):
        with pytest.raises(RequestError, match="expected several"):
            retriever.embed_text(nothing)


def test_max_sim():
    query, document = np.float32([[1, 0], [0, 1]]), np.float32([[0.5, 0.25], [0.25, 0.75]])
    assert chiasm.max_sim(query, document) == 1.25
    for bad in (document[0], document[:, :1], document[:0]):
        with pytest.raises(RequestError):
            chiasm.max_sim(query, bad)


def test_other_models_are_no_retrievers():
    with pytest.raises(ModelError, match='"llama" is not supported as a retriever'):
        chiasm.load_retriever(MODELS / "llama_gqa")


def test_a_prompt_as_one_vector(model, picture):
    last = model.embed("<image>What is this?", images=[picture])
    assert last.shape == (model.info.hidden_size,)
    mean = model.embed("<image>What is this?", images=[picture], pooling="mean")
    for vector in (last, mean):
        assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)
    assert not np.array_equal(last, mean)
    assert not np.array_equal(last, model.embed("<image>What is that?", images=[picture]))
    with pytest.raises(RequestError, match="pooling is 'max'"):
        model.embed("What?", pooling="max")
