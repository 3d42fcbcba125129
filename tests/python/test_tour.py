"""docs/tour.ipynb: its cells run, and it is that of docs/gallery/tour.py."""

import importlib.util
import json
import pathlib

import pytest

DOCS = pathlib.Path(__file__).parents[2] / "docs"
pytest.importorskip("PIL.Image")


def tool():
    spec = importlib.util.spec_from_file_location("ipynb", DOCS / "gallery" / "ipynb.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def kinds(cells):
    """What each cell holds and what came out of it, but for the values, which are those of a machine."""
    return [
        (cell["cell_type"], "".join(cell["source"]))
        + tuple((o["output_type"], *o.get("data", ())) for o in cell.get("outputs", ()))
        for cell in cells
    ]


def test_the_tour_runs_and_is_the_one_that_is_committed():
    committed = json.loads((DOCS / "tour.ipynb").read_text(encoding="utf-8"))
    ran = tool().run((DOCS / "gallery" / "tour.py").read_text(encoding="utf-8"), DOCS)
    assert kinds(ran) == kinds(committed["cells"]), "renew it: python docs/gallery/make.py"
    assert committed == tool().notebook(committed["cells"])
    assert any("image/jpeg" in kind for cell in kinds(ran) for kind in cell[2:])


def test_it_is_a_notebook():
    nbformat = pytest.importorskip("nbformat")
    nbformat.validate(nbformat.read(DOCS / "tour.ipynb", as_version=4))


def test_pictures_of_the_gallery_are_small_and_all_shown():
    page = (DOCS / "gallery.md").read_text(encoding="utf-8")
    pictures = sorted((DOCS / "gallery").glob("*.jpg"))
    assert pictures and all(f"gallery/{file.name}" in page for file in pictures)
    sizes = [file.stat().st_size for file in pictures]
    assert max(sizes) < 60_000 and sum(sizes) < 600_000
