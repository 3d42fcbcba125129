"""Counters and times in Prometheus' text format (version 0.0.4)."""

from __future__ import annotations

import pathlib
import threading
from typing import TYPE_CHECKING, Any

from chiasm._results import Result

if TYPE_CHECKING:
    from chiasm.server.jobs import Job

# Seconds: from a cached answer of a small model to minutes on a slow machine.
_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
_STAGES = ("preprocess", "encode", "prefill", "decode")
_TOKENS = ("prompt", "image", "audio", "cached", "completion")


Gauge = tuple[str, float | dict[str, float]]
"""What it is, and a number or one for each label."""


class Histogram:
    """How often a time fell into which range."""

    def __init__(self) -> None:
        self._counts = [0] * (len(_BOUNDS) + 1)
        self._sum = 0.0

    def add(self, seconds: float) -> None:
        self._counts[sum(seconds > bound for bound in _BOUNDS)] += 1
        self._sum += seconds

    def lines(self, name: str, help: str) -> list[str]:
        out = [f"# HELP {name} {help}", f"# TYPE {name} histogram"]
        total = 0
        for bound, count in zip((*map(str, _BOUNDS), "+Inf"), self._counts):
            total += count
            out.append(f'{name}_bucket{{le="{bound}"}} {total}')
        return [*out, f"{name}_sum {self._sum}", f"{name}_count {total}"]


class Metrics:
    """What happened since the server began. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._responses: dict[tuple[str, int], int] = {}
        self._to_first = Histogram()
        self._per_token = Histogram()
        self._whole = Histogram()
        self._stages = dict.fromkeys(_STAGES, 0.0)
        self._tokens = dict.fromkeys(_TOKENS, 0)
        self._cancelled = 0

    def responded(self, route: str, status: int) -> None:
        with self._lock:
            key = (route, status)
            self._responses[key] = self._responses.get(key, 0) + 1

    def cancelled(self) -> None:
        with self._lock:
            self._cancelled += 1

    def answered(self, job: Job[Any], results: list[Result]) -> None:
        with self._lock:
            if job.to_first is not None:
                self._to_first.add(job.to_first)
            self._whole.add(job.seconds)
            for stage in _STAGES:
                self._stages[stage] += getattr(results[0].timings, stage)
            for kind in _TOKENS[:-1]:
                self._tokens[kind] += getattr(results[0].usage, f"{kind}_tokens")
            for result in results:
                count = result.usage.completion_tokens
                self._tokens["completion"] += count
                if count > 1:
                    self._per_token.add(result.timings.decode / (count - 1))

    def text(self, gauges: dict[str, Gauge]) -> str:
        """Everything; `gauges` holds what is now, by name."""
        with self._lock:
            out = _family(
                "chiasm_responses_total",
                "counter",
                "Answers by route and status.",
                {
                    f'route="{route}",status="{status}"': count
                    for (route, status), count in sorted(self._responses.items())
                },
            )
            out += _family(
                "chiasm_cancelled_total",
                "counter",
                "Requests whose client went before the end.",
                {"": self._cancelled},
            )
            out += _family(
                "chiasm_tokens_total",
                "counter",
                "Tokens by kind; cached, image and audio tokens are prompt tokens too.",
                {f'kind="{kind}"': count for kind, count in self._tokens.items()},
            )
            out += _family(
                "chiasm_stage_seconds_total",
                "counter",
                "Seconds of the stages; work that several requests shared counts for each.",
                {f'stage="{stage}"': value for stage, value in self._stages.items()},
            )
            out += self._to_first.lines(
                "chiasm_time_to_first_token_seconds", "From a request's arrival to its first text."
            )
            out += self._per_token.lines(
                "chiasm_time_per_token_seconds", "Mean time of a request's tokens after the first."
            )
            out += self._whole.lines("chiasm_request_seconds", "From arrival to the last token.")
        for name, (help, value) in gauges.items():
            out += _family(name, "gauge", help, value if isinstance(value, dict) else {"": value})
        return "\n".join(out) + "\n"


def resident_bytes() -> int:
    """Memory of this process; 0 where the system does not tell."""
    try:
        for line in pathlib.Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


def _family(name: str, kind: str, help: str, values: dict[str, float]) -> list[str]:
    out = [f"# HELP {name} {help}", f"# TYPE {name} {kind}"]
    return out + [f"{name}{{{k}}} {v}" if k else f"{name} {v}" for k, v in values.items()]
