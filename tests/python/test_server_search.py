"""/v1/search and the page's search tab, over an index of drawn pictures and notes."""

import base64
import json
import urllib.error
import urllib.request

import numpy as np
import pytest
from drawn import described, scene
from retrieval import save, write
from serving import serving, shot

import chiasm
from chiasm import rag

pytest.importorskip("lancedb", reason='pip install "chiasm[rag]"')
from chiasm.server import Models  # noqa: E402


@pytest.fixture(scope="module")
def gallery(tmp_path_factory):
    """The index, and what is drawn in each file."""
    root, rng, scenes = tmp_path_factory.mktemp("gallery"), np.random.default_rng(7), {}
    while len(scenes) < 12:
        pixels, groups = scene(rng)
        name = f"scene_{len(scenes):02}.png"
        scenes[name] = described(groups)
        save(pixels, root / name)
    write(root / "notes.md", "# Harbour\n\nThe ferry leaves at nine and costs four euros.\n")
    index = rag.Index(tmp_path_factory.mktemp("db") / "gallery.lance")
    assert not index.add(root).problems
    return index, root, scenes


@pytest.fixture(scope="module")
def server(gallery):
    with serving(Models(chat=chiasm.load(), index=gallery[0], chat_name="mini")) as running:
        yield running


def post(server, **body):
    request = urllib.request.Request(
        f"{server.url}/v1/search", json.dumps(body).encode(), {"content-type": "application/json"}
    )
    with urllib.request.urlopen(request) as response:
        return json.load(response)


def refused(server, **body):
    with pytest.raises(urllib.error.HTTPError) as caught:
        post(server, **body)
    return caught.value.code, json.load(caught.value)["error"]["message"]


def data_url(file):
    return "data:image/png;base64," + base64.b64encode(file.read_bytes()).decode()


def test_hits_are_those_of_the_library(server, gallery):
    index = gallery[0]
    for query, mode in (("a red circle", "hybrid"), ("ferry", "words")):
        got = post(server, query=query, mode=mode, limit=5)["data"]
        assert [hit["id"] for hit in got] == [h.id for h in index.search(query, mode=mode, limit=5)]
    assert got[0]["text"].startswith("# Harbour") and got[0]["thumbnail"] is None


def test_a_picture_finds_itself(server, gallery):
    _, root, _ = gallery
    hit = post(server, image={"url": data_url(root / "scene_03.png")}, limit=1)["data"][0]
    assert hit["name"].endswith("scene_03.png") and hit["kind"] == "picture"
    thumbnail = base64.b64decode(hit["thumbnail"].removeprefix("data:image/jpeg;base64,"))
    assert thumbnail[:2] == b"\xff\xd8"


def test_an_answer_cites_what_it_goes_by(server, gallery):
    told = post(server, query="What is in the picture?", answer=True, limit=3, kinds=["picture"])
    assert set(told["answer"]) == {"text", "refused", "citations", "sources", "prompt_tokens"}
    assert told["answer"]["text"]


def test_what_cannot_be_searched_is_said(server):
    assert refused(server) == (400, "query is missing: give words, or a picture as `image`")
    assert refused(server, query="x", limit=0)[0] == 400
    assert "data: URL" in refused(server, image={"url": "file:///etc/passwd"})[1]
    assert refused(server, image={"url": "data:image/png;base64,AAAA"})[0] == 400
    assert refused(server, image={"url": "data:image/png;base64,AAAA"}, answer=True)[0] == 400
    assert refused(server, query="x", where="1 = 1")[1].startswith("where is not a setting")


def test_a_server_without_an_index_says_so():
    with serving(Models(chat=chiasm.load(), chat_name="mini")) as running:
        with urllib.request.urlopen(f"{running.url}/v1/search") as response:
            assert json.load(response) == {"object": "index", "items": 0}
        assert refused(running, query="x") == (
            404,
            "this server has no index: start it with --db INDEX",
        )


def test_the_search_tab(browser, server):
    page = browser.new_page(viewport={"width": 1100, "height": 760})
    problems = []
    page.on("pageerror", lambda e: problems.append(str(e)))
    page.goto(server.url)
    page.click("#tab-search")
    page.fill("#query", "a red circle")
    page.keyboard.press("Enter")
    page.wait_for_selector("#hits li img")
    shot(page, "search")
    page.check("#tell")
    page.fill("#query", "What is in the picture?")
    page.keyboard.press("Enter")
    page.wait_for_selector("#told .answer:not(:text-is('Searching…'))")
    page.click("#tab-chat")
    assert page.is_visible("#composer") and not page.is_visible("#finder")
    page.close()
    assert problems == []
