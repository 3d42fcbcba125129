"""Models by hub id: fetched once, resumed, offline, and every failure one ModelError."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

from chiasm import _hub
from chiasm.errors import ModelError, RequestError
from hub_server import serve

FIND = """
import json, sys
from chiasm import _hub
from chiasm.errors import ModelError
try:
    print(json.dumps({"folder": str(_hub.find_model(**json.loads(sys.argv[1])))}))
except ModelError as e:
    print(json.dumps({"error": str(e)}))
"""


@pytest.fixture
def repository(tmp_path) -> pathlib.Path:
    folder = tmp_path / "repository"
    (folder / "onnx").mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "chat_template.jinja").write_text("hello")
    (folder / "model.safetensors").write_bytes(os.urandom(300_000))
    (folder / "pytorch_model.bin").write_bytes(b"unwanted")
    (folder / "onnx" / "model.onnx").write_bytes(b"unwanted")
    (folder / "README.md").write_text("unwanted")
    return folder


def find(home: pathlib.Path, endpoint: str, environment=(), **arguments) -> dict:
    """find_model in a process of its own: the hub's library reads its settings once."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "HUGGING"))}
    env |= {"HF_HOME": str(home), "HF_ENDPOINT": endpoint, "NO_PROXY": "127.0.0.1"}
    env |= dict(environment)
    run = subprocess.run(
        [sys.executable, "-c", FIND, json.dumps(arguments)],
        env=env,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert run.returncode == 0, run.stderr
    assert "%" not in run.stderr, "no progress bars where nobody looks"
    return json.loads(run.stdout)


def test_a_model_is_fetched_once(tmp_path, repository):
    home = tmp_path / "home"
    with serve({"owner/name": repository}) as hub:
        folder = pathlib.Path(find(home, hub.url, name_or_path="owner/name")["folder"])
        assert folder.is_relative_to(home)
        names = sorted(f.name for f in folder.iterdir())
        assert names == ["chat_template.jinja", "config.json", "model.safetensors"]
        for name in names:
            assert (folder / name).read_bytes() == (repository / name).read_bytes()
        assert sorted(name for name, _ in hub.served) == names
        again = find(home, hub.url, name_or_path="owner/name")
        assert again == {"folder": str(folder)} and len(hub.served) == len(names)
        url = hub.url
    # The hub is gone: what is in the cache stays usable, offline and not.
    for settings in ({"offline": True}, {}):
        assert find(home, url, name_or_path="owner/name", **settings) == again
    forced = find(home, url, {"HF_HUB_OFFLINE": "1"}, name_or_path="owner/name")
    assert forced == again


def test_a_broken_download_goes_on_where_it_stopped(tmp_path, repository):
    size, piece = 24_000_000, 10 * 1024 * 1024  # the library writes pieces of 10 MB
    (repository / "model.safetensors").write_bytes(os.urandom(size))
    with serve({"owner/name": repository}, cut=piece + 1000) as hub:
        found = find(tmp_path / "home", hub.url, name_or_path="owner/name")
        if "error" in found:  # the library gave up; the next call resumes
            assert "owner/name" in found["error"]
            found = find(tmp_path / "home", hub.url, name_or_path="owner/name")
        weights = pathlib.Path(found["folder"]) / "model.safetensors"
        assert weights.read_bytes() == (repository / "model.safetensors").read_bytes()
        assert any(name == "model.safetensors" and first > 0 for name, first in hub.served)


def test_failures_are_one_line_each(tmp_path, repository):
    home = tmp_path / "home"
    with serve({"owner/name": repository, "owner/empty": tmp_path / "none"}) as hub:
        url = hub.url
        for arguments, expected in [
            (
                {"name_or_path": "owner/other"},
                "owner/other: no such folder here, and the hub has no",
            ),
            (
                {"name_or_path": "owner/name", "revision": "v9"},
                "owner/name@v9: the hub's model has no such revision",
            ),
            ({"name_or_path": "owner/empty"}, "no config.json"),
            (
                {"name_or_path": "owner/name", "offline": True},
                "owner/name: no such folder here, and it is not in the cache (offline mode)",
            ),
        ]:
            error = find(home, url, **arguments)["error"]
            assert expected in error and "\n" not in error
    error = find(home, url, name_or_path="owner/name")["error"]
    assert "owner/name" in error and "\n" not in error


@pytest.mark.parametrize(
    ("name", "error", "match"),
    [
        ("/no/such/folder", ModelError, "no such folder"),
        ("./owner/name", ModelError, "no such folder"),
        ("one-word", ModelError, "owner/name"),
        ("model.gguf", ModelError, "no such file"),
        ("", RequestError, "neither a path nor a hub id"),
        ("a\0b", RequestError, "neither a path nor a hub id"),
        (pathlib.Path("owner/name"), ModelError, "no such folder"),
    ],
)
def test_names_that_are_no_models(name, error, match):
    with pytest.raises(error, match=match):
        _hub.find_model(name)


def test_without_a_bundled_model(monkeypatch):
    monkeypatch.setattr(_hub, "bundled_model", lambda: None)
    with pytest.raises(ModelError, match="no bundled model"):
        _hub.find_model(None)
