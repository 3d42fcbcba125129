"""The process in which the reference runs. It ends before Chiasm loads, so that the model is in memory
once."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import subprocess
import tempfile
from collections.abc import Callable
from typing import Any

from chiasm.errors import Error, RequestError

_NEEDED = ("torch", "transformers")
_NEEDED_FOR_GGUF = ("llama_cpp",)
# The reference's folder is a package of its own: it needs no Chiasm in that Python.
_BEGIN = """
import runpy, sys
sys.path.insert(0, sys.argv.pop())
runpy.run_module("reference", run_name="__main__", alter_sys=True)
"""
_FIND = """
import importlib.util, sys
print(*(name for name in sys.argv[1:] if importlib.util.find_spec(name) is None))
"""


def check(python: str, kind: str) -> None:
    """`kind`: that of the job. RequestError where that Python cannot run the reference, with what to install."""
    try:
        found = subprocess.run(
            [python, "-c", _FIND, *(_NEEDED_FOR_GGUF if kind == "gguf" else _NEEDED)], capture_output=True, text=True, timeout=60
        )
    except (OSError, subprocess.TimeoutExpired) as e:
        raise RequestError(f"--python {python}: cannot be run: {e}") from e
    if found.returncode != 0:
        raise RequestError(f"--python {python}: is no Python: {found.stderr.strip()[-200:]}")
    missing = found.stdout.split()
    if missing and kind == "gguf":
        raise RequestError(
            f"verify compares GGUF files with llama.cpp, and {python} lacks {missing[0]}; pip install "
            f"llama-cpp-python there, or name a Python that has it with --python"
        )
    if missing:
        raise RequestError(
            f"verify compares with transformers, and {python} lacks {' and '.join(missing)}; "
            f"pip install torch torchvision transformers pillow there, or name a Python that has "
            f"them with --python"
        )


def run(python: str, job: dict[str, Any], step: Callable[[str], None]) -> None:
    """Runs the job to its end. Interrupted, it ends the process before it leaves.

    Raises:
        Error: The reference failed; with its own words.
    """
    here = str(pathlib.Path(__file__).parent)
    name = "llama.cpp" if job["kind"] == "gguf" else "transformers"
    with tempfile.TemporaryFile("w+", encoding="utf-8") as complaints:
        child = subprocess.Popen(
            [python, "-c", _BEGIN, here],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=complaints,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        try:
            error = _talk(child, job, lambda what: step(f"{name}: {what}"))
            code = child.wait()
        except BaseException:
            child.kill()
            child.wait()
            raise
        if code == 0 and error is None:
            return
        if code < 0:
            raise Error(
                f"{name} was ended by signal {-code}; where memory ran out, know that transformers "
                "keeps 4 bytes for each parameter here"
            )
        complaints.seek(0)
        last = complaints.read().strip().splitlines()[-1:] or ["no word of why"]
        raise Error(f"{name} failed: {error or last[0]}")


def _talk(child: subprocess.Popen[str], job: dict[str, Any], step: Callable[[str], None]) -> Any:
    """Hands the job over and hears the steps; what went wrong, if anything did."""
    assert child.stdin is not None and child.stdout is not None
    with contextlib.suppress(BrokenPipeError):  # it ended before it listened, and says why
        child.stdin.write(json.dumps(job))
        child.stdin.close()
    error = None
    for line in child.stdout:
        try:
            told = json.loads(line)
        except ValueError:
            continue  # a library's own chatter
        if isinstance(told, dict) and "step" in told:
            step(told["step"])
        elif isinstance(told, dict):
            error = told.get("error", error)
    return error
