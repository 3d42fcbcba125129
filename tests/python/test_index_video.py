"""Key frames of videos in an index."""

import numpy as np
import pytest
from conftest import needs_ffmpeg
from retrieval import film, noise, rows

import chiasm
from chiasm import rag

pytest.importorskip("lancedb", reason='pip install "chiasm[rag]"')
from chiasm.rag._sources import picture_of  # noqa: E402

pytestmark = needs_ffmpeg
RATE = 5


@pytest.fixture(scope="module")
def scenes():
    """Four scenes of unlike pictures: 3, 1, 2 and 35 seconds."""
    return [(noise(90 + i, 96), seconds) for i, seconds in enumerate((3, 1, 2, 35))]


@pytest.fixture(scope="module")
def clip(scenes, tmp_path_factory):
    frames = [picture for picture, seconds in scenes for _ in range(seconds * RATE)]
    return film(tmp_path_factory.mktemp("films") / "scenes.avi", frames, RATE)


@pytest.fixture
def index(tmp_path):
    return rag.Index(tmp_path / "db.lance")


def test_each_scene_is_kept_once_and_a_long_one_again(index, clip, scenes):
    report = index.add(clip.parent)
    assert (report.added, report.items, report.problems) == (1, 5, [])
    found = sorted(index.items(columns=["kind", "start_s", "end_s"]), key=lambda row: row["start_s"])
    assert {row["kind"] for row in found} == {"frame"}
    assert [(row["start_s"], row["end_s"]) for row in found] == [
        (0, 3),
        (3, 4),
        (4, 6),
        (6, 36),
        (36, 41),
    ]
    before = rows(index)
    assert index.add(clip.parent).unchanged == 1 and rows(index) == before


def test_a_frame_is_found_by_its_picture_and_read_again_from_its_file(index, clip, scenes):
    index.add(clip.parent)
    for number, start in ((1, 3), (2, 4)):
        hit = index.search(image=scenes[number][0], limit=1)[0]
        assert (hit.kind, hit.start_s) == ("frame", start)
        seen = np.asarray(picture_of(hit)).astype(int)
        unlike = [np.abs(seen - picture).mean() for picture, _ in scenes]  # JPEG blurs colours
        assert np.argmin(unlike) == number


def test_what_is_no_video_is_one_problem(index, tmp_path):
    folder = tmp_path / "films"
    folder.mkdir()
    (folder / "film.mp4").write_bytes(b"film")
    (folder / "empty.mkv").write_bytes(b"")
    report = index.add(folder)
    assert (report.added, report.items, len(report.problems)) == (0, 0, 2)


def test_a_frame_whose_film_is_gone_shows_its_thumbnail(index, scenes, tmp_path):
    gone = film(tmp_path / "films" / "short.avi", [scenes[0][0]] * RATE, RATE)
    index.add(gone.parent)
    hit = index.search(image=scenes[0][0], limit=1)[0]
    gone.unlink()
    with pytest.raises(chiasm.MediaError, match="short.avi"):
        picture_of(hit)
    assert picture_of(hit, index.thumbnails([hit])[hit.id])[:2] == b"\xff\xd8"
