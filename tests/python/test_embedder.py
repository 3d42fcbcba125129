"""`chiasm.load_embedder` on the bundled model: vectors of its definition, however they are asked for."""

import hashlib
import io
import json
import pathlib
import subprocess
import sys
import threading

import numpy as np
import PIL.Image
import pytest
from conftest import GOLDEN, MODELS, PICTURES

import chiasm
from chiasm import MediaError, ModelError, RequestError, _hub

ROOT = pathlib.Path(__file__).parents[2]
MINI = json.loads((GOLDEN / "mini" / "golden.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def embedder():
    return chiasm.load_embedder(dtype="float32")


def pictures():
    return [ROOT / case["picture"] for case in MINI["questions"]]


def test_golden_values_are_of_these_weights():
    """Else: python -m tools.mini verify --write-golden."""
    weights = (_hub.bundled_model() / "model.safetensors").read_bytes()
    assert hashlib.blake2b(weights, digest_size=16).hexdigest() == MINI["weights"]


def test_vectors_of_the_definition(embedder):
    stride = MINI["row_stride"]
    # float32 sums in another order; numbers of unit vectors of 256 are about 0.06.
    texts = embedder.embed_text(MINI["texts"])
    np.testing.assert_allclose(texts[:, ::stride], MINI["text_rows"], atol=1e-5)
    seen = embedder.embed_image(pictures())
    np.testing.assert_allclose(seen[:, ::stride], MINI["picture_rows"], atol=1e-5)
    for rows in (texts, seen):
        assert rows.dtype == np.float32 and rows.shape[1] == embedder.info.size
        np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)


def test_one_is_a_row_of_several(embedder):
    texts = ["a dog", "a red circle"]
    rows = embedder.embed_text(texts)
    assert np.array_equal(embedder.embed_text("a dog"), rows[0])
    assert np.array_equal(embedder.embed_text(text for text in texts), rows)
    file = PICTURES / "wide.png"
    row = embedder.embed_image(file)
    assert row.shape == (embedder.info.size,)
    decoded = PIL.Image.open(file)
    forms = [str(file), file.read_bytes(), decoded, np.asarray(decoded.convert("RGB"))]
    for again in embedder.embed_image(forms):
        assert np.array_equal(again, row)
    assert embedder.embed_text([]).shape == embedder.embed_image([]).shape == (0, len(row))


def test_tokens_are_counted(embedder):
    model = chiasm.load(dtype="float32")  # the same tokenizer; a beginning and an end come around
    texts = ["a dog", "", "A ship in the harbour of <image> Bergen."]
    counts = [len(model.tokenize(text, add_special_tokens=False)) + 2 for text in texts]
    assert embedder.count_tokens(texts[:2]) == counts[:2]
    assert embedder.count_tokens(texts[2])[0] > counts[2]  # words are no placeholders
    assert embedder.count_tokens([]) == []
    endless = "word " * 2000
    assert embedder.count_tokens(endless, truncate=True) == [embedder.info.max_tokens]
    with pytest.raises(RequestError, match="text 1 has"):
        embedder.count_tokens(endless)
    with pytest.raises(RequestError, match="prompt"):
        embedder.count_tokens("a", prompt="query")


def test_calls_from_several_threads(embedder):
    texts = [f"a picture of {i} things" for i in range(40)]
    alone = embedder.embed_text(texts)
    same = []
    threads = [
        threading.Thread(
            target=lambda: same.append(np.array_equal(embedder.embed_text(texts), alone))
        )
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert same == [True] * 4


@pytest.mark.parametrize(
    "settings", [{}, {"dtype": "bfloat16"}, {"quantize": "int8"}, {"quantize": "int4"}]
)
def test_narrow_formats_point_the_same_way(embedder, settings):
    narrow = chiasm.load_embedder(threads=1, **settings)
    assert narrow.info.dtype == "bfloat16" and narrow.info.threads == 1
    assert narrow.info.quantize == settings.get("quantize", "")
    # 16 steps a group leave about 3 % of a vector's length as error; 8 bits or more far less.
    least = 0.97 if settings.get("quantize") == "int4" else 0.999
    texts = MINI["texts"]
    assert (narrow.embed_text(texts) * embedder.embed_text(texts)).sum(axis=1).min() > least
    seen = narrow.embed_image(pictures()) * embedder.embed_image(pictures())
    assert seen.sum(axis=1).min() > 0.999


def test_what_cannot_be_embedded(embedder):
    with pytest.raises(RequestError, match="text 2 has .* at most 1024"):
        embedder.embed_text(["fine", "zq " * 3000])
    with pytest.raises(RequestError, match="text 2 is of type int"):
        embedder.embed_text(["fine", 3])
    for nothing in (None, 3, b"bytes"):
        with pytest.raises(RequestError, match="expected a str or several"):
            embedder.embed_text(nothing)
    with pytest.raises(RequestError, match="expected one or several"):
        embedder.embed_image(None)
    with pytest.raises(MediaError, match="image 2: "):
        embedder.embed_image([PICTURES / "wide.png", b"no picture"])
    with pytest.raises(MediaError, match="nothing.png"):
        embedder.embed_image("nothing.png")
    assert embedder.embed_text("still usable").shape == (256,)


def test_what_cannot_be_loaded():
    with pytest.raises(ModelError, match="has no search head"):
        chiasm.load_embedder(MODELS / "smolvlm_2x2")
    with pytest.raises(ModelError, match='family "llama" is not supported as an embedder'):
        chiasm.load_embedder(MODELS / "llama_gqa")
    with pytest.raises(ModelError, match="no such folder"):
        chiasm.load_embedder("no/such/folder")
    for setting in ({"dtype": "int3"}, {"quantize": "int3"}, {"threads": 0}, {"device": "tpu"}):
        with pytest.raises(RequestError):
            chiasm.load_embedder(**setting)


def run(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "chiasm", "embed", *map(str, arguments)],
        capture_output=True,
        text=True,
    )


def test_the_command(embedder, tmp_path):
    done = run(PICTURES / "wide.png", "--text", "a dog", "--json", "--dtype", "float32")
    picture, text = map(json.loads, done.stdout.splitlines())
    assert picture["picture"].endswith("wide.png") and text["text"] == "a dog"
    assert np.array_equal(np.float32(text["embedding"]), embedder.embed_text("a dog"))
    seen = embedder.embed_image(PICTURES / "wide.png")
    assert np.array_equal(np.float32(picture["embedding"]), seen)
    file = tmp_path / "vectors.jsonl"
    assert run(PICTURES, "--out", file).returncode == 0
    assert len(file.read_text().splitlines()) == len(list(PICTURES.glob("*.png")))
    shown = run("--text", "a dog")
    assert shown.stdout.startswith("a dog: ") and "(256 numbers)" in shown.stdout
    assert run().returncode == 1 and "nothing to embed" in run().stderr


@pytest.mark.parametrize("numbers", ["float32", "float16", "int8"])
def test_the_command_writes_arrays(embedder, tmp_path, numbers):
    """Pictures come first, then the lines of text files, then --text."""
    texts = tmp_path / "passages.txt"
    texts.write_text("a dog\n\n  a ship \n", encoding="utf-8")
    file = tmp_path / "vectors.npy"
    more = ("--as", numbers, "--dtype", "float32", "--out", file)
    done = run(texts, PICTURES / "wide.png", "--text", "a cat", *more)
    assert done.returncode == 0, done.stderr
    rows = np.load(file, allow_pickle=False)
    assert rows.dtype == numbers and rows.shape == (4, embedder.info.size)
    want = [embedder.embed_image(PICTURES / "wide.png")]
    want += list(embedder.embed_text(["a dog", "  a ship ", "a cat"]))
    unit = rows / np.linalg.norm(rows.astype(np.float32), axis=1, keepdims=True)
    # Eight bits leave half a step of 1/127 of the largest number.
    bound = {"float32": 1e-6, "float16": 1e-3, "int8": 2e-3}[numbers]
    np.testing.assert_allclose(unit, want, atol=bound)


def test_what_the_command_refuses(tmp_path):
    bad = tmp_path / "bad.txt"
    bad.write_bytes(b"fine\n\xff")
    for arguments, part in [
        (["--text", "a", "--as", "int3"], "--as int3"),
        (["--text", "a", "--prompt", "query"], "no prompts"),
        ([bad], "bad.txt: is no UTF-8 text at byte 5"),
        ([tmp_path / "none.txt"], "none.txt: cannot be read"),
        (["--text", "zq " * 3000], "truncate"),
    ]:
        done = run(*arguments, "--out", tmp_path / "out.npy")
        assert done.returncode == 1 and part in done.stderr, done.stderr
    assert not (tmp_path / "out.npy").exists()
    done = run("--text", "zq " * 3000, "--truncate", "--out", tmp_path / "out.npy")
    assert done.returncode == 0 and np.load(tmp_path / "out.npy").shape == (1, 256)


def test_families_and_their_prompts():
    bert = chiasm.load_embedder(GOLDEN / "embedders" / "bert_prompts", dtype="float32")
    assert bert.info.prompts == {"query": "How many: ", "document": ""}
    assert bert.info.default_prompt == "query" and bert.info.patches_per_picture == 0
    asked = bert.embed_text("people")
    assert np.array_equal(asked, bert.embed_text("people", prompt="query"))
    assert np.array_equal(asked, bert.embed_text("How many: people", prompt="document"))
    assert np.array_equal(asked, bert.embed_text("How many: people", prompt=""))
    with pytest.raises(RequestError, match='prompt "passage": this model has only document, query'):
        bert.embed_text("people", prompt="passage")
    clip = chiasm.load_embedder(GOLDEN / "embedders" / "clip_gelu", dtype="float32")
    golden = json.loads((GOLDEN / "embedders" / "clip_gelu" / "golden.json").read_text())
    assert clip.info.logit_scale == pytest.approx(golden["logit_scale"], rel=1e-5)
    seen = clip.embed_image([PICTURES / p["file"] for p in golden["pictures"]])
    np.testing.assert_allclose(seen, [p["vector"] for p in golden["pictures"]], atol=1e-5)


def test_png_bytes_of_a_generated_picture(embedder):
    pixels = np.random.default_rng(5).integers(0, 256, (60, 90, 3), np.uint8)
    file = io.BytesIO()
    PIL.Image.fromarray(pixels).save(file, "PNG")
    assert np.array_equal(embedder.embed_image(file.getvalue()), embedder.embed_image(pixels))
