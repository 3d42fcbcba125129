#!/usr/bin/env python3
"""Chiasm beside its peers: the same work, one after another in turns, in one run. See bench/README.md.

    python bench/compare.py --data FOLDER --gguf SMOLLM2.gguf --peers-python VENV/bin/python \
        --llama-bindings SDIST --llama-build BUILD --rows encode,prefill --json results.json

Outputs are checked to agree before anything is timed. Times are medians with [least, most]; ratios are
between medians of the same run. A peer that is not there is listed as such.
"""

from __future__ import annotations

import argparse
import datetime
import json
import pathlib
import statistics
import sys
import time
from typing import Any

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from peers import agree, limits, memory, report, start_up  # noqa: E402
from peers.fleet import Fleet, Places  # noqa: E402
from peers.process import PeerError  # noqa: E402
from peers.rows import ROWS, Row  # noqa: E402

REST = 0.2  # seconds between two peers, in which the first one's threads go to sleep


def time_row(row: Row, fleet: Fleet, rounds: int) -> dict[str, Any]:
    """Interleaved rounds: A B C A B C ... The first, a warm-up, does not count."""
    times: dict[str, list[Any]] = {}
    failed: dict[str, str] = {}
    here = [c for c in row.contenders if fleet.need(c.model)]
    failed.update({c.model: fleet.missing[c.model] for c in row.contenders if c not in here})
    for turn in range(rounds + 1):
        for contender in list(here):
            time.sleep(REST)
            try:
                seed = 1000 * (turn + 1)
                value = fleet.call(contender.model, contender.call, seed=seed, **contender.arguments)
            except PeerError as error:
                failed[contender.model] = str(error)
                here.remove(contender)
                continue
            if turn:
                times.setdefault(contender.model, []).append(value)
    return {"models": {model: summary(values) for model, values in times.items()}, "failed": failed}


def summary(values: list[Any]) -> dict[str, Any]:
    """Seconds and, where a call reports them, its parts."""
    if isinstance(values[0], dict):
        parts = {k: statistics.median(v[k] for v in values) for k in values[0]}
        return {**summary([v["seconds"] for v in values]), "parts": parts}
    return {"median": statistics.median(values), "least": min(values), "most": max(values)}


def check(keys: list[str], fleet: Fleet, folder: pathlib.Path) -> dict[str, Any]:
    """What the rows' peers compute, compared. A model that is missing is left out."""
    out: dict[str, Any] = {}
    used = {c.model: c.call for row in ROWS if row.key in keys for c in row.contenders}
    encoders = [m for m, call in used.items() if call in ("encode", "encode_tiles") and fleet.need(m)]
    if encoders and fleet.need("torch fp32"):
        out["features against torch float32"] = agree.features(fleet, encoders, folder)
    sixteen = [m for m in ("Chiasm bf16", "Chiasm int8", "llama.cpp f16") if m in used and fleet.need(m)]
    if sixteen and fleet.need("torch fp32"):
        out["logits against torch float32"] = agree.last_logits(fleet, sixteen, "torch fp32", folder)
    for ours in ("Chiasm Q4_1", "Chiasm AVX2 Q4_1"):
        if ours in used and fleet.need(ours) and fleet.need("llama.cpp Q4_1"):
            exact = "torch fp32 Q4_1" if fleet.need("torch fp32 Q4_1") else None
            found = agree.greedy(fleet, ours, "llama.cpp Q4_1", exact, folder)
            out[f"greedy tokens of {ours} against llama.cpp"] = {ours: found}
    return out


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    folder = pathlib.Path
    parser.add_argument("--data", type=folder, required=True, help="made by bench/peers/prepare.py")
    parser.add_argument("--gguf", type=folder, required=True, help="SmolLM2-135M-Instruct, Q4_1")
    parser.add_argument("--chiasm-python", default=sys.executable, help="an interpreter with chiasm")
    parser.add_argument("--peers-python", help="an interpreter with torch, transformers, openvino")
    parser.add_argument("--llama-bindings", type=folder, help="llama-cpp-python's source folder")
    parser.add_argument("--llama-build", type=folder, help="llama.cpp's build folder")
    parser.add_argument("--llama-build-avx2", type=folder, help="another, for AVX2 alone")
    parser.add_argument("--build", type=folder, default=folder("build/release"), help="Chiasm's build")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, help="instead of each row's own number")
    names = ",".join([row.key for row in ROWS] + ["start-up", "memory"])
    parser.add_argument("--rows", default=names, help=f"some of {names}")
    part = parser.add_mutually_exclusive_group()
    part.add_argument("--no-check", action="store_true", help="outputs were checked in a run before")
    part.add_argument("--only-check", action="store_true", help="time nothing")
    part.add_argument("--show", action="store_true", help="run nothing: the tables of --json")
    parser.add_argument("--json", type=folder, help="results are added to this file, row by row")
    return parser.parse_args()


def main() -> None:
    args = arguments()
    keys = args.rows.split(",")
    unknown = set(keys) - {row.key for row in ROWS} - {"start-up", "memory"}
    if unknown:
        sys.exit(f"compare.py: no row {', '.join(sorted(unknown))}")
    if args.show:
        print(report.markdown(json.loads(args.json.read_text()), keys))
        return
    places = Places(
        args.data,
        args.gguf,
        args.chiasm_python,
        args.peers_python,
        args.llama_bindings,
        args.llama_build,
        args.llama_build_avx2,
    )
    fleet = Fleet(places, args.threads)
    old = json.loads(args.json.read_text()) if args.json and args.json.exists() else {}
    results: dict[str, Any] = {"machine": report.machine(), "threads": args.threads, **old}
    results.setdefault("rows", {})
    results.setdefault("checks", {})
    try:
        if not args.no_check:
            results["checks"].update(check(keys, fleet, args.data))
        if args.only_check:
            keys = []
        bench_limits = args.build / "bench" / "bench_limits"
        found = limits.measure(bench_limits, args.threads) if keys and bench_limits.exists() else {}
        for row in (row for row in ROWS if row.key in keys):
            measured = time_row(row, fleet, args.rounds or row.rounds)
            stamp = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="minutes")
            results["rows"][row.key] = {**measured, "limits": found, "at": stamp}
        if "start-up" in keys:
            results["rows"]["start-up"] = start_up.measure(places, args.build, args.rounds or 9)
        if "memory" in keys:
            results["rows"]["memory"] = memory.measure(places, args.threads)
    finally:
        fleet.close()
        if args.json:
            args.json.write_text(json.dumps(results, indent=1) + "\n")
    print(report.markdown(results, keys))


if __name__ == "__main__":
    main()
