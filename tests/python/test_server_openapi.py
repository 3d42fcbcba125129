"""Schemathesis on the server's own OpenAPI document: whatever a client sends, no 5xx."""

import importlib.util
import os
import pathlib
import re
import subprocess
import sys

import pytest
from conftest import MODELS
from serving import serving

import chiasm
from chiasm.server import Models

pytest.importorskip("schemathesis")


def index(folder):
    """A small one, where the packages are there."""
    if importlib.util.find_spec("lancedb") is None:
        return None
    from chiasm import rag

    made = rag.Index(folder / "db.lance")
    made.add(MODELS / "pictures")
    return made


def test_nothing_that_a_client_sends_breaks_the_server(tmp_path):
    ears = chiasm.load(MODELS.parent / "whisper" / "tiny")
    models = Models(chiasm.load(), chiasm.load_embedder(), ears, "mini", "search", "ears", index(tmp_path))
    command = [pathlib.Path(sys.executable).with_name("schemathesis"), "run", "--seed", "1"]
    command += ["--checks", "not_a_server_error", "--max-examples", "30", "--workers", "2"]
    hooks = {"SCHEMATHESIS_HOOKS": "openapi_hooks", "PYTHONPATH": os.pathsep.join(sys.path)}
    with serving(models, default_max_tokens=8) as server:
        done = subprocess.run(
            [*command, f"{server.url}/openapi.json"],
            env=os.environ | hooks,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
        cases = re.search(r"(\d+) generated, (\d+) passed", done.stdout)
        assert cases and int(cases.group(1)) == int(cases.group(2)) > 500
        assert "Tested: 13" in done.stdout
        assert server.state.metrics.text({}).count('route="/v1/chat/completions",status="200"')
