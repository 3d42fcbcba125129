"""Results as Markdown."""

from __future__ import annotations

import platform
import re
from typing import Any

from peers import memory
from peers.rows import MODELS, ROWS, Bar, Row


def machine() -> str:
    """The CPU in words, without the host's name."""
    with open("/proc/cpuinfo") as file:
        text = file.read()
    model = re.search(r"model name\s*: (.*)", text)
    family = re.search(r"cpu family\s*: (\d+)\nmodel\s*: (\d+)", text)
    known = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "asimd")
    flags = [flag for flag in known if re.search(rf"\b{flag}\b", text)]
    numbers = f" (family {family[1]}, model {family[2]})" if family else ""
    cpus = text.count("processor\t:")
    return f"{model[1] if model else platform.machine()}{numbers}, {cpus} CPUs, {' '.join(flags)}"


def markdown(results: dict[str, Any], keys: list[str]) -> str:
    out = [f"{results['machine']}; {results['threads']} threads.", ""]
    for row in (row for row in ROWS if row.key in keys and row.key in results["rows"]):
        out += _table(row, results["rows"][row.key])
    if "start-up" in keys and "start-up" in results["rows"]:
        out += _start_up(results["rows"]["start-up"])
    if "memory" in keys and "memory" in results["rows"]:
        out += memory.table(results["rows"]["memory"])
    out += _checks(results["checks"])
    return "\n".join(out)


def _table(row: Row, measured: dict[str, Any]) -> list[str]:
    unit = "tokens/s" if row.tokens else "ms"
    out = [f"### {row.title}", "", f"| | {unit} | of limit |", "| --- | --- | --- |"]
    for contender in row.contenders:
        found = measured["models"].get(contender.model)
        if found is None:
            reason = measured["failed"].get(contender.model, "not run")
            out.append(f"| {contender.model} | {reason} | |")
            continue
        share = _share(row, contender.model, found, measured["limits"])
        out.append(f"| {contender.model} | {_figure(row, found)} | {share} |")
    for ours, parts in ((m, f["parts"]) for m, f in measured["models"].items() if "parts" in f):
        words = ", ".join(f"{k} {v:.3g}" for k, v in parts.items() if k != "seconds")
        out += ["", f"{ours}: {words}"]
    if row.bars:
        out += ["", "| bar | wanted | reached | |", "| --- | --- | --- | --- |"]
        out += [_bar(row, bar, measured) for bar in row.bars]
    return [*out, ""]


def _figure(row: Row, found: dict[str, float]) -> str:
    if row.tokens:
        median, least, most = (row.tokens / found[k] for k in ("median", "most", "least"))
        return f"{median:.0f} [{least:.0f}, {most:.0f}]"
    median, least, most = (1e3 * found[k] for k in ("median", "least", "most"))
    return f"{median:.0f} [{least:.0f}, {most:.0f}]"


def _kind(model: str) -> str:
    """Which peak a model's products are held against."""
    spec = MODELS[model]
    if spec.peer.endswith("-avx2"):
        return "avx2"
    eight = spec.path == "gguf" or "q8_0" in spec.path or "quantize" in spec.settings
    one = "-1" if spec.peer.endswith("-1") else ""
    return ("int8" if eight else "bf16") + one


def _share(row: Row, model: str, found: dict[str, float], limits: dict[str, float]) -> str:
    if model in row.bytes_read and "read" in limits:
        reached = row.bytes_read[model] * row.tokens / found["median"] / 1e9
        return f"{reached / limits['read']:.0%} of {limits['read']:.0f} GB/s"
    kind = _kind(model)
    if row.gflop and kind in limits:
        return f"{row.gflop / found['median'] / limits[kind]:.0%} of {limits[kind]:.0f} GFLOP/s"
    return ""


def reached(row: Row, bar: Bar, measured: dict[str, Any]) -> float | None:
    """How many times as fast as `against`, or the share of a limit; None where something is missing."""
    models, limits = measured["models"], measured["limits"]
    if bar.ours not in models:
        return None
    seconds = models[bar.ours]["median"]
    if bar.against.startswith("limit "):
        kind = bar.against.removeprefix("limit ")
        if kind not in limits:
            return None
        work = row.bytes_read[bar.ours] * row.tokens / 1e9 if kind == "read" else row.gflop
        return float(work / seconds / limits[kind])
    total = 0.0
    for part in bar.against.split(" + "):
        name, _, stage = part.partition("'s ")
        if name not in models:
            return None
        total += models[name]["parts"][stage] if stage else models[name]["median"]
    return total / seconds


def _bar(row: Row, bar: Bar, measured: dict[str, Any]) -> str:
    ratio = reached(row, bar, measured)
    name = f"{bar.ours} to {bar.against}"
    if ratio is None:
        return f"| {name} | {bar.factor} | not measured | |"
    verdict = "met" if ratio >= bar.factor else f"missed by {1 - ratio / bar.factor:.0%}"
    return f"| {name} | {bar.factor} | {ratio:.2f} | {verdict} |"


def _start_up(measured: dict[str, Any]) -> list[str]:
    out = ["### process start to the end of a process that says one token, warm page cache", ""]
    out += ["| | ms |", "| --- | --- |"]
    for name, t in measured["models"].items():
        out.append(f"| {name} | {1e3 * t['median']:.0f} [{1e3 * t['least']:.0f}, {1e3 * t['most']:.0f}] |")
    out += [f"| {name} | {reason} |" for name, reason in measured["failed"].items()]
    return [*out, ""]


def _checks(checks: dict[str, Any]) -> list[str]:
    out = ["### outputs compared", ""]
    for name, models in checks.items():
        for model, found in models.items():
            words = ", ".join(
                f"{k.replace('_', ' ')} {v:.6f}" if isinstance(v, float) else f"{k.replace('_', ' ')} {v}"
                for k, v in found.items()
                if k not in ("agrees", "apart")
            )
            out.append(f"- {name}: {model}: {words}{'' if found['agrees'] else ' - DISAGREES'}")
    return out
