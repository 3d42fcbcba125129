"""From the start of a process to its first token, the files being in the page cache."""

from __future__ import annotations

import os
import pathlib
import statistics
import subprocess
import time
from typing import Any

from peers.fleet import Places

PROMPT = "The capital of France is"


def measure(places: Places, build: pathlib.Path, rounds: int) -> dict[str, Any]:
    """Whole processes that say one token and end, in turns."""
    model = str(places.gguf)
    beside_python = pathlib.Path(places.chiasm_python).parent / "chiasm"
    commands: dict[str, list[str]] = {
        "Chiasm, C++ example": [str(build / "bench" / "bench_complete"), model, PROMPT, "1"],
        "Chiasm, command": [str(beside_python), "ask", "--model", model, "--max-tokens", "1", PROMPT],
    }
    if places.llama_build:
        program = str(places.llama_build / "bin" / "llama-completion")
        commands["llama.cpp"] = [
            *[program, "-m", model, "-p", PROMPT, "-n", "1", "-t", "2", "-c", "2048"],
            *["--no-warmup", "-no-cnv", "--no-display-prompt", "--temp", "0"],
        ]
    failed = {} if places.llama_build else {"llama.cpp": "not installed"}
    times: dict[str, list[float]] = {name: [] for name in commands}
    for turn in range(rounds + 1):
        for name in [name for name in commands if name not in failed]:
            start = time.perf_counter()
            try:
                run = subprocess.run(commands[name], capture_output=True, stdin=subprocess.DEVNULL)
            except FileNotFoundError:
                failed[name] = f"{os.path.basename(commands[name][0])} is not there"
                continue
            seconds = time.perf_counter() - start
            if run.returncode or not run.stdout.strip():
                failed[name] = run.stderr.decode(errors="replace")[-200:] or "said nothing"
            elif turn:
                times[name].append(seconds)
    models = {
        name: {"median": statistics.median(t), "least": min(t), "most": max(t)}
        for name, t in times.items()
        if t
    }
    return {"models": models, "failed": failed, "limits": {}}
