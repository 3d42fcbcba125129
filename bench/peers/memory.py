"""Growth of resident memory: a model's load and a 17-tile picture to 64 tokens, in a fresh process."""

from __future__ import annotations

from typing import Any

from peers.fleet import Fleet, Places
from peers.process import PeerError

MODELS = ["Chiasm bf16", "Chiasm int8", "llama.cpp f16", "llama.cpp q8_0"]
TOKENS = 64


def measure(places: Places, threads: int) -> dict[str, Any]:
    """Megabytes over what the process held with its libraries loaded; Chiasm's plan beside it."""
    models: dict[str, Any] = {}
    failed: dict[str, str] = {}
    for model in MODELS:
        fleet = Fleet(places, threads)
        try:
            before = fleet.memory(model, picture=5)["now"]
            fleet.call(model, "caption", seed=5, tokens=TOKENS)
            models[model] = {"growth": fleet.memory(model)["most"] - before}
            if model.startswith("Chiasm"):
                models[model]["plan"] = fleet.call(model, "plan", seed=5, tokens=TOKENS)
        except PeerError as error:
            failed[model] = str(error)
        finally:
            fleet.close()
    return {"models": models, "failed": failed, "limits": {}}


def table(measured: dict[str, Any]) -> list[str]:
    out = ["### growth of resident memory: load, a picture of 17 tiles, 64 tokens", ""]
    out += ["| | MB | allowed: weights x 1.1 + planned K/V and activations | |", "| --- | --- | --- | --- |"]
    for name, found in measured["models"].items():
        allowed = verdict = ""
        if "plan" in found:
            plan = found["plan"]
            most = 1.1 * plan["weight_bytes"] + plan["kv_bytes"] + plan["activation_bytes"]
            parts = f"{plan['weight_bytes']:.0f} + {plan['kv_bytes']:.0f} + {plan['activation_bytes']:.0f}"
            allowed = f"{most:.0f} (plan {parts})"
            verdict = "met" if found["growth"] <= most else f"missed by {found['growth'] / most - 1:.0%}"
        out.append(f"| {name} | {found['growth']:.0f} | {allowed} | {verdict} |")
    out += [f"| {name} | {reason} | | |" for name, reason in measured["failed"].items()]
    return [*out, ""]
