"""The machine's limits, from bench_limits in fresh processes."""

from __future__ import annotations

import pathlib
import re
import subprocess

_KINDS = {"bf16": r"^bf16", "int8": r"^int8", "fp32": r"^fp32 multiply-add, AVX-512", "avx2": r"AVX2"}
_MEMORY = r"^read, (96|512) MiB"  # beyond the caches


def measure(program: pathlib.Path, threads: int, processes: int = 5) -> dict[str, float]:
    """The best of several processes: memory's speed differs from one process to the next on some
    virtual machines. GFLOP/s, and GB/s for "read"; the keys of one thread end in "-1"."""
    best: dict[str, float] = {}
    for _ in range(processes):
        run = subprocess.run([program, str(threads)], capture_output=True, text=True, check=True)
        for line in run.stdout.splitlines():
            numbers = re.search(r"([\d.]+) +([\d.]+) +G\w", line)
            if not numbers:
                continue
            name = "read" if re.search(_MEMORY, line) else None
            name = name or next((k for k, v in _KINDS.items() if re.search(v, line)), None)
            if name:
                best[name + "-1"] = max(best.get(name + "-1", 0), float(numbers[1]))
                best[name] = max(best.get(name, 0), float(numbers[2]))
    return best
