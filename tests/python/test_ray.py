"""`chiasm.ray` on a cluster of two nodes, one of which is killed on the way: the results are those of
one machine, each of them once."""

import base64
import contextlib
import dataclasses
import json
import os
import pathlib
import pickle
import socket
import sys
import time
import urllib.request

import numpy as np
import pytest
from conftest import MODELS, PICTURES
from retrieval import noise, pdf, rows, save, write
from spoken import as_wav, sound

import chiasm
import chiasm.ray
from chiasm import RequestError, rag

pytest.importorskip("lancedb", reason='pip install "chiasm[rag]"')
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
ray = pytest.importorskip("ray", reason='pip install "chiasm[ray]"')

NODE = {"num_cpus": 1, "object_store_memory": 100_000_000}
SETTINGS = {"max_tokens": 900, "ignore_eos": True}  # long enough to be at work when a node is killed
HOW = {"progress": False, "cpus": 1}


def processes(words: str) -> list[str]:
    """Command lines that hold `words`."""
    found = []
    for file in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            line = file.read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if words in line:
                found.append(line)
    return found


@pytest.fixture(scope="module")
def cluster():
    from ray.cluster_utils import Cluster

    quickly = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 500}
    head = NODE | {"include_dashboard": False, "_system_config": quickly}
    made = Cluster(initialize_head=True, head_node_args=head)
    ray.init(address=made.address, log_to_driver=False, logging_level="ERROR")
    session = made.head_node._session_dir
    yield made
    ray.shutdown()
    made.shutdown()
    end = time.monotonic() + 20
    while (left := processes(session)) and time.monotonic() < end:
        time.sleep(0.2)
    assert not left, "processes of Ray that outlive their cluster"


@pytest.fixture
def mortal(cluster, monkeypatch):
    """A second node, which is killed once both are at work and some results are there. Gives the
    rounds of Ray Data that there were."""
    from chiasm.ray import _cluster, _jobs

    node = cluster.add_node(**NODE)
    cluster.wait_for_nodes()
    rounds, killed = [], []

    class Counted(_cluster._Round):
        def __init__(self, *args):
            super().__init__(*args)
            rounds.append(self)

    def dying(*args, **settings):
        for told, (number, result) in enumerate(_cluster.each(*args, **settings)):
            if not killed and told > 2 and len(processes("ray::MapWorker")) > 1:
                cluster.remove_node(node, allow_graceful=False)
                killed.append(told)
            yield number, result

    monkeypatch.setattr(_cluster, "_Round", Counted)
    monkeypatch.setattr(_jobs, "each", dying)
    yield rounds
    if not killed:
        cluster.remove_node(node)


@pytest.fixture(scope="module")
def model():
    return chiasm.load()


@pytest.fixture
def pictures(tmp_path):
    for i in range(24):
        save(noise(i), tmp_path / "files" / f"{i:02}.png")
    return tmp_path / "files"


def captions(model, files) -> dict:
    """What one machine says of pictures, by path."""
    said = model.answers([str(file) for file in files], **SETTINGS)
    return {str(file): answer.text.strip() for file, answer in zip(files, said)}


def told(out) -> dict:
    found = {}
    for row in chiasm.ray.results(out):
        assert row["path"] not in found, "a file is told of twice"
        found[row["path"]] = row
    return found


def test_captions_with_a_node_killed(mortal, model, pictures, tmp_path):
    (pictures / "copy.png").write_bytes((pictures / "03.png").read_bytes())
    (pictures / "cut.png").write_bytes((pictures / "04.png").read_bytes()[:500])
    (pictures / "empty.jpg").write_bytes(b"")
    write(pictures / "words.txt", "words")
    out = tmp_path / "captions.lance"
    report = chiasm.ray.caption(pictures, out, batch=1, **HOW, **SETTINGS)
    assert (report.computed, report.others, len(report.problems)) == (24, 1, 2)
    assert len(mortal) > 1, "the node took work with it"
    found = told(out)
    whole = sorted(pictures.glob("[0-9]*.png")) + [pictures / "copy.png"]
    assert {p: row["caption"] for p, row in found.items() if row["error"] is None} == captions(
        model, whole
    )
    bad = {os.path.basename(p): row["error"] for p, row in found.items() if row["error"]}
    assert set(bad) == {"cut.png", "empty.jpg"}
    assert len({row["hash"] for row in found.values()}) == 26

    again = chiasm.ray.caption(pictures, out, **HOW, **SETTINGS)
    assert (again.computed, len(again.problems)) == (0, 2)
    assert told(out) == found
    for file in pictures.iterdir():
        os.utime(file, (1e9, 1e9))
    save(noise(99), pictures / "new.png")
    (pictures / "moved.png").write_bytes((pictures / "05.png").read_bytes())
    more = chiasm.ray.caption(pictures, out, **HOW, **SETTINGS)
    assert (more.computed, more.known, more.unchanged) == (1, 26, 0)
    assert len(told(out)) == len(found) + 2
    last = chiasm.ray.caption(pictures, out, **HOW, **SETTINGS)
    assert (last.computed, last.known + last.unchanged) == (0, 27)
    with pytest.raises(RequestError, match=r"max_tokens.*give another folder"):
        chiasm.ray.caption(pictures, out, **HOW, max_tokens=3)


def test_an_index_is_that_of_one_machine(cluster, pictures, tmp_path):
    write(pictures / "notes.md", "# First\n\nApples are red.\n")
    pdf(pictures / "sub" / "paper.pdf", "Whales are large", "Ants are small")
    (pictures / "cut.png").write_bytes(b"\x89PNG")
    alone = rag.Index(tmp_path / "alone.lance")
    want = alone.add(pictures, captioner=chiasm.load())
    got = chiasm.ray.index(pictures, tmp_path / "ours.lance", captioner=True, **HOW)
    assert (got.added, got.items, len(got.problems)) == (want.added, want.items, 1)
    ours = rag.Index(tmp_path / "ours.lance")
    assert rows(ours) == rows(alone)
    assert ours.search("apples", mode="words")[0].path.endswith("notes.md")
    again = ours.add(pictures)  # either goes on where the other was
    assert (again.added, again.items, again.unchanged) == (0, 0, want.added)


def test_vectors_from_a_uri(cluster, pictures, tmp_path):
    files = sorted(pictures.iterdir())
    files.pop(0).rename(pictures / ".hidden.png")
    uri = pictures.as_uri()
    assert chiasm.ray.embed(uri, tmp_path / "uri.lance", **HOW).computed == 23
    found = told(tmp_path / "uri.lance")
    assert sorted(found) == [f"{uri}/{file.name}" for file in files]
    want = chiasm.load_embedder().embed_image([str(file) for file in files])
    got = np.float32([found[f"{uri}/{file.name}"]["vector"] for file in files])
    assert np.array_equal(got, want)


def test_places_that_pyarrow_and_fsspec_read(pictures, tmp_path):
    fsspec = pytest.importorskip("fsspec")
    from chiasm.ray._places import Places

    write(pictures / "sub" / "notes.md", "words")
    write(pictures / "sub" / "table.xls", "?")
    write(pictures / ".hidden" / "a.md", "words")
    write(pictures / "db.lance" / "chiasm.json", "{}")
    write(pictures / "db.lance" / "inside.md", "words")
    write(pictures / "clip.mp4", "film")
    memory = fsspec.filesystem("memory")
    memory.put(str(pictures), "/bucket", recursive=True)
    heard = []
    local = list(Places([pictures], None, heard.append))
    for place, filesystem in (
        (pictures.as_uri(), None),
        (pictures, fsspec.filesystem("file")),
        ("/bucket/" if memory.exists("/bucket/00.png") else f"/bucket/{pictures.name}", memory),
    ):
        places = Places([place], filesystem, lambda *problem: heard.append(problem))
        found = list(places)
        assert [f.path.rpartition("/")[2] for f in found] == [
            f.path.rpartition("/")[2] for f in local if f.format != "video"
        ]
        assert places.others == 1 and heard.pop()[0].endswith("clip.mp4") and not heard
        assert all(places.covers(f.path) for f in found) and not places.covers("/elsewhere")
        fetch = pickle.loads(pickle.dumps(places.fetch()))
        same = [f for f in local if f.format != "video"]
        assert [fetch(f) for f in found] == [pathlib.Path(f.path).read_bytes() for f in same]
        gone = dataclasses.replace(found[0], path=found[0].path + ".png")
        with pytest.raises(chiasm.MediaError, match="cannot be read"):
            fetch(gone)
    for place, message in (
        (f"{pictures.as_uri()}/nothing", "no such file or folder"),
        (f"{pictures.as_uri()}/sub/table.xls", "a format that is not indexed"),
        ("gopher://files", "pyarrow knows no such place"),
    ):
        with pytest.raises(RequestError, match=message):
            Places([place], None, heard.append)


def test_transcripts(cluster, tmp_path):
    sounds = tmp_path / "sounds"
    sounds.mkdir()
    for i in range(3):
        (sounds / f"{i}.wav").write_bytes(as_wav(sound(2.0 + i, i)))
    (sounds / "broken.wav").write_bytes(b"RIFF")
    (sounds / "gone.wav").symlink_to(sounds / "nowhere")
    whisper = MODELS.parent / "whisper" / "tiny"
    out = tmp_path / "said.lance"
    load = {"dtype": "float32"}
    report = chiasm.ray.transcribe(sounds, out, model=whisper, load=load, language="en", **HOW)
    assert report.computed == 3 and {os.path.basename(p.path) for p in report.problems} == {
        "broken.wav",
        "gone.wav",
    }
    alone = chiasm.load(whisper, **load)
    for i in range(3):
        want = alone.transcribe(sounds / f"{i}.wav", language="en")
        row = told(out)[str(sounds / f"{i}.wav")]
        assert (row["text"], row["language"], row["duration"]) == (want.text, "en", want.duration)
        assert [s["text"] for s in row["segments"]] == [s.text for s in want.segments]


def test_what_cannot_be_is_said_in_one_line(cluster, pictures, tmp_path, monkeypatch):
    out = tmp_path / "out.lance"
    for call, message in (
        (lambda: chiasm.ray.caption(pictures, out, cpus=64), "no node of the Ray cluster has 64"),
        (lambda: chiasm.ray.caption(pictures, out, model="/no/such", **HOW), "no such folder"),
        (lambda: chiasm.ray.caption(pictures, out, top_p=7, **HOW), "top_p"),
        (lambda: chiasm.ray.caption(pictures, pictures, **HOW), "exists, and holds no results"),
        (lambda: chiasm.ray.results(tmp_path), "no results here"),
    ):
        with pytest.raises(chiasm.Error, match=message):
            call()
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(RequestError, match=r'pip install "chiasm\[ray\]"'):
        chiasm.ray.caption(pictures, out)


def test_an_item_that_kills_its_worker_is_one_error(cluster):
    """Not the job's end: tried with others, then alone, then given up."""
    from chiasm.ray import _cluster

    class Inverse:  # here, so that it travels by value: workers do not know this file
        def __call__(self, items):
            for place, item in enumerate(items):
                if item == 0:
                    os._exit(1)
                yield place, 1 / item

    crew = _cluster.crew_of(1, 1)
    made = dict(_cluster.each([0, 4], lambda threads: Inverse(), crew, progress=False))
    assert made == {0: None, 1: 0.25}


@pytest.fixture(scope="module")
def served(cluster):
    """OpenAI's API at an address, by a replica on the cluster."""
    pytest.importorskip("fastapi")
    from ray import serve

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    serve.start(http_options={"host": "127.0.0.1", "port": port})
    serve.run(chiasm.ray.deployment(name="mini"))
    yield f"http://127.0.0.1:{port}"
    serve.shutdown()


def test_the_server_on_ray_serve(served, model):
    openai = pytest.importorskip("openai")
    client = openai.OpenAI(base_url=f"{served}/v1", api_key="none", max_retries=0)
    picture = (PICTURES / "wide.png").read_bytes()
    url = {"url": f"data:image/png;base64,{base64.b64encode(picture).decode()}"}
    asked = {"type": "text", "text": "Describe this image."}
    want = model.generate(
        [{"role": "user", "content": [{"type": "image", "image": picture}, asked]}], max_tokens=24
    )
    messages = [{"role": "user", "content": [{"type": "image_url", "image_url": url}, asked]}]
    shared = {"model": "mini", "messages": messages, "max_tokens": 24, "temperature": 0}
    whole = client.chat.completions.create(**shared)
    assert whole.choices[0].message.content == want.text.strip()
    pieces = [
        chunk.choices[0].delta.content or ""
        for chunk in client.chat.completions.create(stream=True, **shared)
        if chunk.choices
    ]
    assert "".join(pieces) == want.text.strip() and len([p for p in pieces if p]) > 3
    assert len(client.embeddings.create(model="chiasm-mini", input="a dog").data[0].embedding) > 64
    with pytest.raises(openai.NotFoundError, match="other"):
        client.chat.completions.create(**(shared | {"model": "other"}))


def running(served) -> int:
    """Requests that the replica is at work on."""
    with urllib.request.urlopen(f"{served}/ready", timeout=10) as answer:
        return json.load(answer)["requests"]


def test_a_stream_comes_as_it_is_made_and_ends_with_its_client(served, model):
    bias = {str(id): -100 for id in model.info.eos_token_ids}
    body = {"model": "mini", "prompt": "A dog", "stream": True, "max_tokens": 900, "logit_bias": bias}
    request = urllib.request.Request(
        f"{served}/v1/completions", json.dumps(body).encode(), {"content-type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        first = stream.readline()
        assert first.startswith(b"data: {") and running(served) == 1, "it has not ended yet"
    end = time.monotonic() + 10
    while running(served) and time.monotonic() < end:
        time.sleep(0.1)
    assert running(served) == 0
