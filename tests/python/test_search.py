"""`chiasm search` and `Index.search`: equal to looking at every row oneself."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from retrieval import noise, pdf, save, write

import chiasm
from chiasm import RequestError, rag
from chiasm.rag import _store
from chiasm.rag._hits import Hit, fused
from chiasm.rag._page import page
from chiasm.rag._passages import passages

pytest.importorskip("lancedb", reason='pip install "chiasm[rag]"')
pytest.importorskip("pypdfium2", reason='pip install "chiasm[rag]"')
ASSETS = pathlib.Path(__file__).parents[2] / "docs" / "assets"


@pytest.fixture(scope="module")
def embedder():
    return chiasm.load_embedder()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("files")
    for i in range(120):
        save(noise(i, side=40 + i), root / f"picture_{i:03}.png")
    for name in ("dog.jpg", "scene.png"):
        shutil.copy(ASSETS / name, root / name)
    for i in range(40):
        write(root / "texts" / f"{i}.md", f"# Number {i}\n\nOf apples there are {i} in this basket.")
    write(root / "texts" / "invoice_march.txt", "The amount due is 42 euros.")
    pdf(root / "paper.pdf", "Whales are large", "Ants are small")
    return root


@pytest.fixture(scope="module")
def index(folder, embedder, tmp_path_factory):
    made = rag.Index(tmp_path_factory.mktemp("db") / "my.lance", model=embedder)
    assert not made.add(folder).problems
    return made


def brute(index, column, vector, keep):
    """Ids by cosine, highest first, of rows that `keep` wants."""
    columns = ["id", "kind", "path", "width", "page", "size", "text", column]
    rows = [r for r in index.items(columns=columns) if r[column] is not None and keep(r)]
    scores = np.float32([r[column] for r in rows]).reshape(-1, len(vector)) @ vector
    return [rows[i]["id"] for i in np.argsort(-scores, kind="stable")]


FILTERS = {
    "": lambda r: True,
    "width > 100": lambda r: (r["width"] or 0) > 100,
    "kind = 'page' AND page = 2": lambda r: r["kind"] == "page" and r["page"] == 2,
    "path LIKE '%picture_00%' OR width = 80": lambda r: "picture_00" in r["path"] or r["width"] == 80,
    "NOT (size < 5000)": lambda r: r["size"] >= 5000,
    "width > 100000": lambda r: False,
}


@pytest.mark.parametrize("where", FILTERS)
def test_filters_equal_brute_force(index, embedder, where):
    for words in ("a dog", "a red circle"):
        vector = embedder.embed_text(words)
        for column, kinds in (("image_vector", ["picture", "page"]), ("text_vector", ["passage"])):
            best = brute(index, column, vector, FILTERS[where])[:20]
            hits = index.search(words, mode="meaning", where=where, kinds=kinds, limit=20)
            assert [hit.id for hit in hits] == best


def test_words_are_found(index):
    assert index.search("euros", mode="words")[0].path.endswith("invoice_march.txt")
    assert index.search("invoice from March", limit=1)[0].path.endswith("invoice_march.txt")
    assert index.search("whale", mode="words")[0].place == "page 1"  # stems, too
    hits = index.search("basket", mode="words", limit=100, where="path LIKE '%/7.md'")
    assert len(hits) == 1 and hits[0].match > 0 and hits[0].similarity is None
    assert index.search("zzzunheardof", mode="words") == []


def test_a_picture_finds_itself_and_its_like(index, folder):
    for name in ("dog.jpg", "scene.png", "picture_007.png"):
        hits = index.search(image=folder / name, limit=3)
        assert hits[0].path.endswith(name)
        # JPEGs are decoded by Pillow for the index, by the runtime here: a level apart now and then.
        assert hits[0].similarity == pytest.approx(1, abs=1e-2)
    assert index.search(image=(folder / "dog.jpg").read_bytes(), limit=1)[0].path.endswith("dog.jpg")


def test_words_find_pictures(index):
    """The bundled model's search head."""
    assert index.search("a photo of a dog", kinds=["picture"], mode="meaning")[0].title == "dog"


def test_settings_out_of_range(index, folder):
    for settings in (
        {},
        {"query": "x", "limit": 0},
        {"query": "x", "mode": "guess"},
        {"query": "x", "kinds": ["poem"]},
        {"query": "x", "where": "nothing = 3"},
        {"query": "x", "where": "width >"},
        {"query": 3},
    ):
        with pytest.raises(RequestError):
            index.search(**settings)
    with pytest.raises(chiasm.MediaError):
        index.search(image=folder / "none.png")
    assert index.search("'; DROP TABLE items; -- \" \\ (AND", limit=1)
    assert index.search("long " * 3000, limit=1), "longer than the embedder's context"


def test_the_approximate_index(tmp_path):
    """Recall beside all vectors, with rows that came after the index was built."""
    rng = np.random.default_rng(3)
    store = _store.Store(tmp_path, {"image_vector": 64})
    centres = rng.standard_normal((40, 64))

    def rows(first, count):
        made = centres[rng.integers(0, 40, count)] + 0.7 * rng.standard_normal((count, 64))
        made /= np.linalg.norm(made, axis=1, keepdims=True)
        common = {field.name: None for field in store.table.schema} | {"part": 0, "words": "a"}
        return [
            common | {"id": f"{i}", "file": f"{i}", "image_vector": v.astype(np.float32)}
            for i, v in enumerate(made, first)
        ]

    store.write(rows(0, 4000))
    store.finish(approximate_above=3000)
    assert store.indices() == ["image_vector", "words"]
    store.write(rows(4000, 300))
    recall = []
    for _ in range(30):
        query = (centres[rng.integers(40)] + 0.7 * rng.standard_normal(64)).astype(np.float32)
        ids = [
            {row["id"] for row in store.nearest("image_vector", query, 10, "", exact)}
            for exact in (True, False)
        ]
        recall.append(len(ids[0] & ids[1]) / 10)
    assert np.mean(recall) > 0.9
    store.finish(approximate_above=3000)
    assert len(store) == 4300


def test_passages_keep_every_word_once():
    rng = np.random.default_rng(0)
    words = ["apple", "pear.", "plum!", "x" * 900, "日本語。", "\n", "\n\n", "# Head\n", " \n \n"]
    for _ in range(200):
        text = " ".join(rng.choice(words, int(rng.integers(0, 200))))
        cut = list(passages(text, 120))
        assert "".join(p for _, p in cut).split() == [] or all(len(p) <= 120 for _, p in cut)
        assert re.sub(r"\s", "", "".join(p for _, p in cut)) == re.sub(r"\s", "", text)
        lines = text.split("\n")
        for line, passage in cut:
            assert passage.split()[0] in lines[line - 1]


def test_reciprocal_ranks():
    a, b, c = ({"id": id, "similarity": 0.5} for id in "abc")
    out = fused([(1, [a, b]), (1, [b, c]), (1, [{"id": "c", "match": 2.0}])], 10)
    assert [row["id"] for row in out] == ["b", "c", "a"]
    assert out[0]["score"] == pytest.approx(1 / 62 + 1 / 61) and out[1]["match"] == 2.0
    assert [row["id"] for row in fused([(0.1, [a, b]), (1, [b, a])], 1)] == ["b"]


def run(*arguments, code=0, **settings):
    command = pathlib.Path(sys.executable).parent / "chiasm"
    if not command.exists():
        command = None
    done = subprocess.run(
        [*([command] if command else [sys.executable, "-m", "chiasm"]), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        **settings,
    )
    assert done.returncode == code, done.stderr
    if code:
        assert done.stderr.startswith("chiasm: error: ") and done.stderr.count("\n") == 1
    return done


def test_the_commands(folder, tmp_path):
    some = tmp_path / "some"
    some.mkdir()
    for name in ("dog.jpg", "scene.png", "texts/invoice_march.txt"):
        shutil.copy(folder / name, some)
    (some / "bad.png").write_text("no picture")
    db = tmp_path / "my.lance"
    done = run("index", some, "--db", db)
    assert done.stdout.startswith("files: 3 added, 1 skipped; items: 3; ")
    assert done.stderr.startswith("chiasm: skipped: ") and "bad.png" in done.stderr
    report = json.loads(run("index", some, "--db", db, "--json").stdout)
    assert (report["unchanged"], report["added"], len(report["problems"])) == (3, 0, 1)
    first = run("search", "euros", "--db", db, "--mode", "words").stdout.split()
    assert first[:2] == ["1", "passage"] and first[2].endswith("invoice_march.txt")
    rows = [json.loads(s) for s in run("search", "a dog", "--db", db, "--json").stdout.splitlines()]
    assert len(rows) == 3 and {"path", "kind", "score", "place"} <= set(rows[0])
    (row,) = run(
        "search", "--image", some / "dog.jpg", "--db", db, "--limit", 1, "--json"
    ).stdout.splitlines()
    assert json.loads(row)["path"].endswith("dog.jpg") and json.loads(row)["caption"]
    html = tmp_path / "page.html"
    run("search", "a dog", "--db", db, "--html", "--out", html)
    text = html.read_text()
    assert text.count("<li>") == 3 and text.count('src="data:image/jpeg;base64,') == 2
    assert "http" not in text
    run("search", "--db", db, code=1)
    run("search", "x", "--db", tmp_path / "nothing", code=1)
    run("search", "x", "--db", db, "--where", "nothing = 1", code=1)
    run("index", tmp_path / "nothing", "--db", db, code=1)
    run("search", "x", code=2)


def test_a_page_of_evil_names():
    hit = Hit(
        id="a-0",
        path='/x/<script>alert(1)</script>".png',
        kind="picture",
        score=1.0,
        similarity=0.5,
        match=None,
        page=None,
        line=None,
        start_s=None,
        end_s=None,
        title="",
        caption='<img src=x onerror="alert(1)">',
        text="",
        width=1,
        height=1,
        size=1,
        hash="",
        file_path=os.fsdecode(b"/x/\xff'\"<>.png"),
    )
    text = page("<b>query", [hit], {"a-0": b"jpeg"})
    assert "<script" not in text and "<img src=x" not in text and "<b>" not in text
    assert 'href="file:///x/%FF%27%22%3C%3E.png"' in text
