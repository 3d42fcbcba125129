"""`chiasm.rag.Index.add`: what is in an index is what is in the folder, whatever happened to it."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import PICTURES
from retrieval import noise, pdf, rows, save, write

import chiasm
from chiasm import RequestError, rag

pytest.importorskip("lancedb", reason='pip install "chiasm[rag]"')
pytest.importorskip("pypdfium2", reason='pip install "chiasm[rag]"')


@pytest.fixture(scope="module")
def embedder():
    return chiasm.load_embedder()


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "files"
    for i in range(6):
        save(noise(i), root / f"picture_{i}.png")
    write(root / "notes.md", "# First\n\nApples are red.\n\n# Second\n\nBananas are yellow.\n")
    write(root / "sub" / "more.txt", "The invoice from March says 42 euros.\n")
    pdf(root / "sub" / "paper.pdf", "Whales are large", "Ants are small")
    return root


@pytest.fixture
def index(tmp_path, embedder):
    return rag.Index(tmp_path / "db.lance", model=embedder)


def fresh(index, folder, embedder):
    """An index of the folder that is made at once."""
    other = rag.Index(f"{index.folder}-fresh-{time.monotonic_ns()}", model=embedder)
    other.add(folder)
    return rows(other)


def test_items_of_each_format(index, folder, embedder):
    report = index.add(folder)
    assert (report.added, report.items, report.problems) == (9, 13, [])
    kinds = [row["kind"] for row in index.items()]
    assert {kind: kinds.count(kind) for kind in kinds} == {"picture": 6, "page": 2, "passage": 5}
    found = {row["id"]: row for row in index.items(columns=["id", "path", "text", "page", "line"])}
    texts = {row["text"]: (row["page"], row["line"]) for row in found.values() if row["text"]}
    assert texts["# Second\n\nBananas are yellow."] == (None, 5)
    assert texts["Ants are small"] == (2, None)
    row = next(index.items(where="title = 'picture 3'", columns=["image_vector", "text_vector"]))
    assert row["text_vector"] is None
    seen = embedder.embed_image(folder / "picture_3.png")
    assert np.array_equal(np.float32(row["image_vector"]), seen)
    said = next(index.items(where="line = 5", columns=["text", "text_vector"]))
    assert np.array_equal(np.float32(said["text_vector"]), embedder.embed_text(said["text"]))


def test_only_what_changed_is_read_again(index, folder, embedder):
    index.add(folder)
    for file in folder.rglob("*"):
        os.utime(file, (1e9, 1e9))
    assert index.add(folder).unchanged == 9  # other times, the same bytes
    before = rows(index)
    again = index.add(folder)
    assert (again.unchanged, again.items) == (9, 0) and rows(index) == before
    (folder / "picture_0.png").rename(folder / "sub" / "holiday.png")
    (folder / "picture_1.png").unlink()
    save(noise(77), folder / "picture_2.png")
    write(folder / "notes.md", "Shorter now.")
    save(noise(78), folder / "new.png")
    (folder / "copy.png").write_bytes((folder / "picture_3.png").read_bytes())
    report = index.add(folder)
    counts = (report.added, report.changed, report.moved, report.removed, report.unchanged)
    assert counts == (2, 2, 1, 1, 5) and not report.problems
    assert rows(index) == fresh(index, folder, embedder)
    assert index.search("holiday", mode="words")[0].path.endswith("sub/holiday.png")
    (folder / "notes.md").unlink()
    for file in (folder / "sub").iterdir():
        file.unlink()
    assert index.add(folder).removed == 4
    assert rows(index) == fresh(index, folder, embedder)


def test_other_folders_stay(index, folder, tmp_path):
    save(noise(9), tmp_path / "elsewhere" / "a.png")
    index.add(folder, tmp_path / "elsewhere")
    assert index.add(folder).removed == 0
    assert index.add(folder / "sub").unchanged == 2
    assert len(index.files()) == 10
    with pytest.raises(RequestError, match="no such file or folder"):
        index.add(tmp_path / "unmounted")
    assert len(index.files()) == 10, "a folder that is missing as a whole is a mistake, not a wish"


def test_odd_names(index, folder, embedder):
    names = ["it's.txt", 'a "b".txt', "new\nline.txt", "back\\slash.txt", "ünï 日本 🚲.txt", "%41.txt"]
    names += ["; DROP TABLE items; --.txt", "-", "--json.txt", " .txt", "a" * 240 + ".txt"]
    for i, name in enumerate(names):
        write(folder / "odd" / name, f"odd file number{i}")
    raw = os.fsencode(folder / "odd") + b"/\xff\xfe.txt"
    with open(raw, "w") as file:
        file.write("odd file with raw bytes")
    write(folder / ".hidden" / "x.txt", "hidden")
    write(folder / "odd" / ".hidden.txt", "hidden")
    (folder / "odd" / "loop").symlink_to(folder)
    os.mkfifo(folder / "odd" / "pipe.txt")
    report = index.add(folder)
    assert not report.problems
    hits = index.search("odd file", limit=50, mode="words")
    assert len(hits) == len(names)  # "-" is of no known format; the raw name is there
    assert sorted(os.fsencode(h.file_path) for h in hits)[-1] == raw
    assert all(os.path.exists(h.file_path) for h in hits)
    for hit in hits:
        hit.path.encode()
    os.unlink(raw)
    (folder / "odd" / "it's.txt").unlink()
    write(folder / "odd" / 'a "b".txt', "changed")
    report = index.add(folder)
    assert (report.removed, report.changed) == (2, 1)
    assert rows(index) == fresh(index, folder, embedder)


def test_bad_files_are_reported_and_skipped(index, folder):
    whole = (folder / "picture_0.png").read_bytes()
    bad = {
        "empty.png": b"",
        "cut.png": whole[: len(whole) // 2],
        "words.jpg": b"no picture",
        "empty.txt": b"",
        "blank.md": b" \n\n \n",
        "binary.txt": bytes(range(256)),
        "empty.pdf": b"",
        "cut.pdf": b"%PDF-1.4\n1 0 obj",
        "film.mp4": b"film",
        "sound.wav": b"RIFF",
    }
    for name, data in bad.items():
        (folder / name).write_bytes(data)
    (folder / "gone.png").symlink_to(folder / "nowhere.png")
    (folder / "table.xls").write_bytes(b"?")
    heard = []
    report = index.add(folder, on_problem=heard.append)
    names = {os.path.basename(problem.path): problem.what for problem in report.problems}
    assert set(names) == {*bad, "gone.png"} and heard == report.problems
    assert (report.added, report.others) == (9, 1)
    assert "speech model" in names["sound.wav"]
    again = index.add(folder)
    assert (again.unchanged, len(again.problems)) == (9, len(bad) + 1)
    (folder / "picture_1.png").write_bytes(b"was a picture")  # what the index had of it is no more
    assert len(index.add(folder).problems) == len(bad) + 2
    assert not list(index.items(where="title = 'picture 1'"))


def test_a_picture_of_too_many_pixels(index, tmp_path):
    import PIL.Image

    (tmp_path / "many").mkdir()
    PIL.Image.new("1", (12_000, 12_000)).save(tmp_path / "many" / "bomb.png")
    (problem,) = index.add(tmp_path / "many").problems
    assert "12000 x 12000 pixels" in problem.what and "100000000" in problem.what


def test_the_models_of_an_index(index, folder, embedder, tmp_path):
    index.add(folder)
    assert rag.Index(index.folder).search("apples", limit=1, mode="words")
    with pytest.raises(RequestError, match="bfloat16 weights"):
        rag.Index(index.folder, model=chiasm.load_embedder(dtype="float32")).add(folder)
    with pytest.raises(RequestError, match="is no index"):
        rag.Index(folder)
    with pytest.raises(RequestError, match="no index here"):
        rag.Index(tmp_path / "nothing").search("x")
    (index.folder / "chiasm.json").write_text("{")
    with pytest.raises(RequestError, match="cannot be read as an index's settings"):
        rag.Index(index.folder)


def test_the_index_is_not_indexed(index, folder, embedder):
    inside = rag.Index(folder / "sub" / "db.lance", model=embedder)
    assert inside.add(folder).added == 9
    assert inside.add(folder).added == 0


def test_captions(index, folder):
    index.add(folder, captioner=chiasm.load())
    captions = [row["caption"] for row in index.items(where="kind = 'picture'")]
    assert all(captions)
    word = max(captions[0].split(), key=len).strip('".')
    assert index.search(word, mode="words", kinds=["picture"])


class Listener:
    """A speech model that hears the same in every sound."""

    def transcribe(self, sound):
        assert sound == b"sound"
        said = [(0.0, 2.5, " Good morning."), (2.5, 70.0, " The meeting is about whales.")]
        said += [(70.0 + i, 71.0 + i, f" Point {i}." + " and so on" * 10) for i in range(20)]
        return SimpleNamespace(segments=[SimpleNamespace(start=a, end=b, text=t) for a, b, t in said])


def test_speech(index, tmp_path):
    (tmp_path / "sounds").mkdir()
    (tmp_path / "sounds" / "meeting.wav").write_bytes(b"sound")
    assert index.add(tmp_path / "sounds", speech=Listener()).added == 1
    rows = sorted(index.items(), key=lambda row: row["part"])
    assert {row["kind"] for row in rows} == {"speech"} and len(rows) == 3
    assert all(len(row["text"]) <= 800 for row in rows)
    assert rows[0]["start_s"] == 0 and rows[-1]["end_s"] == 90
    assert all(a["end_s"] == b["start_s"] for a, b in zip(rows, rows[1:]))
    assert index.search("whales", mode="words")[0].place == "0:00"
    assert index.add(tmp_path / "sounds").removed == 0, "without a speech model what is there stays"
    assert len(index) == 3


def test_one_writer(index, folder, embedder):
    index.add(folder)
    with index._store().writing():
        with pytest.raises(RequestError, match="another process is writing"):
            rag.Index(index.folder, model=embedder).add(folder)
        assert rag.Index(index.folder, model=embedder).search("apples")
    index.add(folder)


RUN = """
import sys, chiasm, lancedb
from chiasm.rag import Index, _indexing, _making
_indexing._COMMIT_ROWS, _making._BATCH = 8, 4
index = Index(sys.argv[1], model=chiasm.load_embedder(threads=1))
print("begun", flush=True)
index.add(sys.argv[2])
print("done", flush=True)
"""


def start(index, folder):
    process = subprocess.Popen(
        [sys.executable, "-c", RUN, str(index.folder), str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "begun\n"
    return process


@pytest.mark.parametrize("how, runs", [(signal.SIGKILL, 20), (signal.SIGINT, 4)])
def test_ended_at_any_point(index, folder, embedder, how, runs, tmp_path):
    """Runs killed at random points, the folder changing meanwhile; then one to its end."""
    for i in range(80):
        save(noise(100 + i), folder / "many" / f"{i}.png")
        write(folder / "many" / f"{i}.txt", f"file {i}\n\n" + f"words {i} " * 100)
    dice = random.Random(int(how))
    process = start(rag.Index(tmp_path / "timed.lance", model=embedder), folder)
    started = time.monotonic()
    assert process.communicate()[0] == "done\n"
    whole = time.monotonic() - started
    sizes = set()
    for turn in range(runs):
        process = start(index, folder)
        time.sleep(dice.uniform(0.05, 2.5 / runs) * whole)
        process.send_signal(how)
        process.communicate()
        sizes.add(len(rag.Index(index.folder, model=embedder)))
        if turn % 4 == 3:
            i = 4 * turn
            (folder / "many" / f"{i}.png").rename(folder / "many" / f"moved {i}.png")
            (folder / "many" / f"{i}.txt").unlink(missing_ok=True)
            save(noise(1000 + i), folder / "many" / f"{i + 1}.png")
    assert len(sizes) > 1, "killed while it was at work"
    last = rag.Index(index.folder, model=embedder)
    last.add(folder)
    assert rows(last) == fresh(index, folder, embedder)


def test_ctrl_c_of_the_command(folder, tmp_path):
    for i in range(300):
        save(noise(i), folder / "many" / f"{i}.png")
    command = [sys.executable, "-m", "chiasm", "index", folder, "--db", tmp_path / "my.lance"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    while not (tmp_path / "my.lance" / "writer.lock").exists():
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    assert process.communicate()[1] == "chiasm: error: interrupted\n"
    assert process.returncode == 130


def test_search_while_indexing(index, folder, embedder):
    index.add(folder)
    for i in range(80):
        save(noise(500 + i), folder / f"late_{i}.png")
    writer = threading.Thread(target=lambda: rag.Index(index.folder, model=embedder).add(folder))
    writer.start()
    while writer.is_alive():
        assert index.search("apples", limit=3)
    writer.join()
    assert len(rag.Index(index.folder, model=embedder).files()) == 89


def test_pictures_of_the_golden_set(index):
    report = index.add(PICTURES)
    assert report.added + len(report.problems) == len(list(PICTURES.iterdir())) - report.others
    assert report.added > 3
