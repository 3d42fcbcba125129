"""What `chiasm bench` measures: a model's speed and memory beside what the machine can do at most.

Each figure is the median of several runs. Shares are of limits measured in the same process: products
of matrices against the arithmetic peak of their number format, decoding against reading memory.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

import chiasm
from chiasm import _chiasm, _media
from chiasm._model import Model
from chiasm._options import generate_options
from chiasm.errors import MediaError, RequestError

_WORDS = (
    "a small brown dog runs over green grass near two red cars while old people watch it".split()
)
_DECODED = 32  # tokens of a decoding run
_ANSWER = 64  # tokens of an answer from end to end


@dataclasses.dataclass(frozen=True)
class Row:
    """One figure. `rate` is in `unit` a second; `share` is of the machine's limit, in [0, 1]."""

    name: str
    threads: int
    seconds: float
    rate: float
    unit: str
    limit: str = ""
    share: float | None = None
    resident_bytes: int | None = None

    def as_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True)
class Memory:
    """Growth of resident memory from before loading to its highest, and what was planned."""

    peak_bytes: int
    planned_bytes: int


def status_bytes(key: str) -> int:
    """A line of /proc/self/status: VmRSS, VmHWM."""
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(key + ":"))


def _forget_peak() -> None:
    with contextlib.suppress(OSError), open("/proc/self/clear_refs", "w") as file:
        file.write("5")


class Bench:
    """Loads a model and measures it."""

    def __init__(self, name: str | None, repeat: int, picture: str | None, **settings: Any):
        import jinja2  # noqa: F401: what templates need is no memory of the model

        self.repeat = repeat
        self._picture: Any = _picture() if picture is None else _read(picture)
        _forget_peak()
        before = status_bytes("VmRSS")
        begun = time.perf_counter()
        self.model: Model = chiasm.load(name, **settings)
        self.load_seconds = time.perf_counter() - begun
        self.info = self.model.info
        self._native = self.model._native
        self.work = self._native.info.work
        self._seed = itertools.count()
        self.memory = self._memory(before)
        self.limits: dict[str, float] = _chiasm.machine_limits(self.info.threads)

    def _memory(self, before: int) -> Memory:
        request = self._answer_request()
        planned = self._native.plan(request).peak_bytes
        self._native.generate(request)
        return Memory(status_bytes("VmHWM") - before, planned)

    @property
    def sees(self) -> bool:
        return bool(self.info.image_token)

    @property
    def arithmetic(self) -> str:
        """The number format whose peak bounds matrix products."""
        if self.info.quantize and "int8" in self.limits:
            return "int8"
        if self.info.dtype == "bfloat16" and "bfloat16" in self.limits:
            return "bfloat16"
        return "" if self.info.quantize else "float32"

    # Requests. Each begins with other words, so that no prefix is found in the cache.

    def _ids(self, count: int) -> list[int]:
        random = np.random.default_rng([count, next(self._seed)])
        ids: list[int] = []
        while len(ids) < count:
            words = " ".join(random.choice(_WORDS, 64))
            ids += self.model.tokenize(" " + words, add_special_tokens=False)
        return ids[:count]

    def _request(self, ids: list[int], max_tokens: int) -> _chiasm.Request:
        options = generate_options(max_tokens=max_tokens, ignore_eos=True)
        return _chiasm.Request([], token_ids=ids, options=options)

    def _pictures_request(self, count: int, max_tokens: int) -> _chiasm.Request:
        pictures = [_media.image_input(self._fresh_picture()) for _ in range(count)]
        request = self._native.turn("Describe this image.", pictures)
        request.options = generate_options(max_tokens=max_tokens, ignore_eos=True)
        return request

    def _fresh_picture(self) -> Any:
        """The picture with another content: the engine remembers those it has encoded."""
        mark = next(self._seed)
        if isinstance(self._picture, bytes):
            return self._picture + mark.to_bytes(8, "little")  # behind the end: no decoder minds
        pixels = self._picture.copy()
        pixels[0, :3] = np.array([mark >> shift & 255 for shift in range(0, 72, 8)]).reshape(3, 3)
        return pixels

    def _answer_request(self) -> _chiasm.Request:
        if self.sees:
            return self._pictures_request(1, _ANSWER)
        room = max(1, self.info.max_context - 2 * _ANSWER)
        return self._request(self._ids(min(128, room)), _ANSWER)

    def _fits(self, tokens: int) -> bool:
        return tokens <= self.info.max_context

    def _median(self, run: Callable[[], float]) -> float:
        run()  # warms caches, pages and threads
        return statistics.median(run() for _ in range(self.repeat))

    # Figures.

    def _row(
        self, name: str, seconds: float, count: float, unit: str, macs: float = 0, read: float = 0
    ) -> Row:
        limit, share = "", None
        if macs and self.arithmetic:
            limit = self.arithmetic
            share = 2 * macs / seconds / self.limits[limit]
        elif read:
            limit = "read"
            share = read / seconds / self.limits["read"]
        resident = status_bytes("VmRSS")
        return Row(name, self.info.threads, seconds, count / seconds, unit, limit, share, resident)

    def load(self) -> Row:
        return self._row(
            "load", self.load_seconds, self.info.file_bytes / 1e6, "MB", read=self.info.file_bytes
        )

    def picture(self) -> Iterator[Row]:
        plan = self._native.plan(self._pictures_request(1, 1))
        tiles = plan.tiles
        timings = []
        for _ in range(self.repeat + 1):
            timings.append(self._native.generate(self._pictures_request(1, 1)).timings)
        del timings[0]
        preprocess = statistics.median(t.preprocess for t in timings)
        encode = statistics.median(t.encode for t in timings)
        yield self._row("preprocess a picture", preprocess, 1, "pictures")
        yield self._row("encode a tile", encode / tiles, 1, "tiles", macs=plan.encode_macs / tiles)
        yield self._row(
            f"encode a picture, {_count(tiles, 'tile')}", encode, 1, "pictures", macs=plan.encode_macs
        )

    def prefill(self, lengths: Iterable[int]) -> Iterator[Row]:
        for length in lengths:
            if not self._fits(length + 1):
                continue
            seconds = self._median(
                lambda: self._native.generate(self._request(self._ids(length), 1)).timings.prefill
            )
            w = self.work
            macs = length * w.token_macs + length * (length + 1) / 2 * w.key_macs + w.head_macs
            yield self._row(f"prefill {length} tokens", seconds, length, "tokens", macs=macs)

    def decode(self, depths: Iterable[int]) -> Iterator[Row]:
        for depth in depths:
            depth = max(1, depth)
            if not self._fits(depth + _DECODED + 1):
                continue
            ids = self._ids(depth)  # found in the cache from the second run on

            def run() -> float:
                result = self._native.generate(self._request(ids, _DECODED + 1))
                return result.timings.decode / _DECODED

            seconds = self._median(run)
            read = self.work.step_bytes + (depth + _DECODED / 2) * self.work.key_bytes
            yield self._row(f"decode after {depth} tokens", seconds, 1, "tokens", read=read)

    def answer(self) -> Row:
        def run() -> float:
            begun = time.perf_counter()
            self._native.generate(self._answer_request())
            return time.perf_counter() - begun

        what = "a caption" if self.sees else "an answer"
        return self._row(f"{what} of {_ANSWER} tokens", self._median(run), 1, "answers")

    def pictures(self, counts: Iterable[int]) -> Iterator[Row]:
        """Requests of several pictures: encoding, a picture."""
        for count in counts:
            plan = self._native.plan(self._pictures_request(count, 1))
            if not self._fits(plan.tokens + 1):
                continue

            def run() -> float:
                timings = self._native.generate(self._pictures_request(count, 1)).timings
                return timings.preprocess + timings.encode + timings.prefill

            yield self._row(
                f"{_count(count, 'picture')} to a first token",
                self._median(run),
                count,
                "pictures",
                macs=plan.encode_macs,
            )

    def parallel(self, counts: Iterable[int]) -> Iterator[Row]:
        """Sequences that answer side by side: a step of decoding."""
        prompt = 64
        for count in counts:
            if not self._fits(prompt + _DECODED + 1):
                continue

            def run() -> float:
                requests = [self._request(self._ids(prompt), _DECODED + 1) for _ in range(count)]
                results = self._native.generate_all(requests)
                return max(r.timings.decode for r in results) / _DECODED

            seconds = self._median(run)
            read = self.work.step_bytes + count * (prompt + _DECODED / 2) * self.work.key_bytes
            yield self._row(f"decode {count} side by side", seconds, count, "tokens", read=read)

    def operators(self) -> list[dict[str, Any]]:
        """Where an answer's time goes, by stage and operator."""
        request = self._answer_request()
        self._native.generate(request)
        self._native.profile(True)
        try:
            self._native.generate(self._answer_request())
            times = self._native.operator_times()
        finally:
            self._native.profile(False)
        whole = {t.stage: t.seconds for t in times if not t.name}
        rows = []
        for t in sorted(times, key=lambda t: -t.seconds):
            if t.name:
                name = f"{t.name} {t.out} x {t.in_}" if t.out else t.name
                rate = 2 * t.out * t.in_ * t.rows / t.seconds if t.out and t.seconds else None
                rows.append(
                    {
                        "stage": t.stage,
                        "operator": name,
                        "calls": t.calls,
                        "seconds": t.seconds,
                        "share": t.seconds / whole[t.stage],
                        "operations_per_second": rate,
                    }
                )
        for stage, seconds in whole.items():
            rest = seconds - sum(t.seconds for t in times if t.name and t.stage == stage)
            rows.append(
                {
                    "stage": stage,
                    "operator": "the rest",
                    "calls": 1,
                    "seconds": rest,
                    "share": rest / seconds,
                    "operations_per_second": None,
                }
            )
        order = ["preprocess", "encode", "prefill", "decode"]
        return sorted(rows, key=lambda r: (order.index(r["stage"]), -r["seconds"]))


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _read(picture: str) -> bytes:
    try:
        with open(picture, "rb") as file:
            return file.read()
    except OSError as e:
        raise MediaError(f"{picture}: cannot be read: {e.strerror}") from e


def _picture() -> npt.NDArray[np.uint8]:
    """1024 x 768 pixels with edges and grain, the same each time."""
    y, x = np.mgrid[0:768, 0:1024]
    waves = [np.sin(x / (37 + 11 * c) + np.cos(y / (29 + 7 * c)) * 2) for c in range(3)]
    pixels = np.stack(waves, axis=-1) * 90 + 128
    pixels += np.random.default_rng(7).normal(0, 12, pixels.shape)
    pixels[200:500, 300:700] = 255 - pixels[200:500, 300:700]
    return np.asarray(np.clip(pixels, 0, 255), dtype=np.uint8)


def whole_numbers(name: str, text: str | None, otherwise: list[int], low: int = 1) -> list[int]:
    """ "1,2,4" as a list."""
    if text is None:
        return otherwise
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if not numbers or min(numbers) < low or max(numbers) > 10**6:
        raise RequestError(f"{name} {text}: expected whole numbers of at least {low}, as in 1,2,4")
    return numbers
