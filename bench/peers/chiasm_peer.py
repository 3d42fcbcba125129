"""Chiasm through its Python package."""

from __future__ import annotations

import time
from typing import Any

from peers import inputs
from peers.process import forget_the_most, resident_megabytes, serve


class Chiasm:
    def __init__(self) -> None:
        import chiasm
        import numpy as np
        from chiasm import _chiasm

        self._np, self._chiasm, self._native = np, chiasm, _chiasm
        self._models: dict[str, Any] = {}

    def load(self, model: str, path: str, threads: int, **settings: Any) -> dict[str, float]:
        before = resident_megabytes()["now"]
        start = time.perf_counter()
        self._models[model] = self._chiasm.load(path, threads=threads, **settings)
        seconds = time.perf_counter() - start
        return {"seconds": seconds, "growth_mb": resident_megabytes()["now"] - before}

    def encode(self, model: str, seed: int) -> float:
        """One tile: the engine's own clock around the encoder and the projector."""
        result = self._answer(model, *self._picture_prompt(model, 512, seed), 1)
        return float(result.timings.encode)

    def features(self, model: str, seed: int, out: str) -> None:
        self._np.save(out, self._models[model].encode_image(inputs.picture(512, seed)))

    def prefill(self, model: str, tokens: int, seed: int) -> float:
        start = time.perf_counter()
        self._answer(model, inputs.token_ids(tokens, seed), [], 1)
        return time.perf_counter() - start

    def decode(self, model: str, depth: int, tokens: int, seed: int) -> float:
        """`tokens` steps after a prompt of `depth` (at least one token)."""
        result = self._answer(model, inputs.token_ids(max(1, depth), seed), [], tokens + 1)
        return float(result.timings.decode)

    def caption(self, model: str, seed: int, tokens: int) -> dict[str, float]:
        """A picture of 17 tiles to `tokens` tokens, from its pixels on."""
        ids, images = self._picture_prompt(model, 2048, seed)
        start = time.perf_counter()
        result = self._answer(model, ids, images, tokens)
        seconds = time.perf_counter() - start
        t = result.timings
        return {
            "seconds": seconds,
            "preprocess": t.preprocess,
            "encode": t.encode,
            "prefill": t.prefill,
            "decode": t.decode,
            "prompt_tokens": result.usage.prompt_tokens,
        }

    def logits(self, model: str, ids: list[int], first: int, out: str) -> None:
        """float32 [rows, vocabulary] of the positions from `first` on."""
        request = self._native.Request([], token_ids=ids)
        self._np.save(out, self._models[model]._native.logits(request)[first:])

    def greedy(self, model: str, ids: list[int], tokens: int) -> list[int]:
        return list(self._answer(model, ids, [], tokens).token_ids)

    def tokenize(self, model: str, text: str) -> list[int]:
        return [int(i) for i in self._models[model].tokenize(text)]

    def memory(self, picture: int | None = None) -> dict[str, float]:
        """Now and at most; with the seed of a large picture, from when that is made."""
        if picture is not None:
            inputs.picture(2048, picture)
            forget_the_most()
        return resident_megabytes()

    def plan(self, model: str, seed: int, tokens: int) -> dict[str, float]:
        """Megabytes that a 17-tile picture's request is planned to take."""
        ids, images = self._picture_prompt(model, 2048, seed)
        options = self._native.GenerateOptions(max_tokens=tokens)
        request = self._native.Request([], token_ids=ids, images=images, options=options)
        plan = self._models[model]._native.plan(request)
        names = ("weight_bytes", "kv_bytes", "activation_bytes", "peak_bytes")
        return {name: getattr(plan, name) / 1e6 for name in names}

    def _picture_prompt(self, model: str, side: int, seed: int) -> tuple[list[int], list[Any]]:
        image = self._native.ImageInput.from_pixels(inputs.picture(side, seed), "picture")
        native = self._models[model]._native
        return native.prompt_ids(native.turn("Describe this image.", [image])), [image]

    def _answer(self, model: str, ids: list[int], images: list[Any], tokens: int) -> Any:
        options = self._native.GenerateOptions(max_tokens=tokens, ignore_eos=True)
        request = self._native.Request([], token_ids=ids, images=images, options=options)
        return self._models[model]._native.generate(request)


if __name__ == "__main__":
    serve(Chiasm)
