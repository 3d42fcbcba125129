"""transformers on torch: the reference in float32, a peer in bfloat16."""

from __future__ import annotations

import os
import time
from typing import Any

from peers import inputs
from peers.process import forget_the_most, resident_megabytes, serve


class Torch:
    def __init__(self) -> None:
        import torch
        import transformers

        self._torch, self._transformers = torch, transformers
        self._models: dict[str, Any] = {}

    def load(self, model: str, path: str, threads: int, dtype: str) -> None:
        self._torch.set_num_threads(threads)
        if path.endswith(".gguf"):
            folder, file = os.path.split(path)
            kind = self._transformers.AutoModelForCausalLM
            self._models[model] = kind.from_pretrained(
                folder, gguf_file=file, dtype=getattr(self._torch, dtype)
            ).eval()
            return
        kind = self._transformers.AutoModelForImageTextToText
        kind = kind.from_pretrained(path, dtype=getattr(self._torch, dtype))
        self._models[model] = kind.eval()

    def encode(self, model: str, seed: int) -> float:
        pixels = self._torch.from_numpy(inputs.tile_values(inputs.picture(512, seed)))
        start = time.perf_counter()
        self._features(model, pixels)
        return time.perf_counter() - start

    def features(self, model: str, seed: int, out: str) -> None:
        import numpy as np

        pixels = self._torch.from_numpy(inputs.tile_values(inputs.picture(512, seed)))
        np.save(out, self._features(model, pixels).float().numpy())

    def prefill(self, model: str, tokens: int, seed: int) -> float:
        ids = self._torch.tensor([inputs.token_ids(tokens, seed)])
        start = time.perf_counter()
        self._forward(model, ids, None)
        return time.perf_counter() - start

    def decode(self, model: str, depth: int, tokens: int, seed: int) -> float:
        ids = self._torch.tensor([inputs.token_ids(max(1, depth), seed)])
        out = self._forward(model, ids, None)
        start = time.perf_counter()
        for _ in range(tokens):
            out = self._forward(model, out.logits[:, -1:].argmax(-1), out.past_key_values)
        return time.perf_counter() - start

    def logits(self, model: str, ids: list[int], first: int, out: str) -> None:
        import numpy as np

        with self._torch.inference_mode():
            values = self._models[model](input_ids=self._torch.tensor([ids])).logits[0, first:]
        np.save(out, values.float().numpy())

    def memory(self, picture: int | None = None) -> dict[str, float]:
        """Now and at most; with the seed of a large picture, from when that is made."""
        if picture is not None:
            inputs.picture(2048, picture)
            forget_the_most()
        return resident_megabytes()

    def _forward(self, model: str, ids: Any, cache: Any) -> Any:
        with self._torch.inference_mode():
            return self._models[model](input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1)

    def _features(self, model: str, pixels: Any) -> Any:
        """[tokens, d_model] of one tile, after the projector."""
        inner = self._models[model].model
        with self._torch.inference_mode():
            pixels = pixels.to(inner.vision_model.dtype)
            return inner.connector(inner.vision_model(pixel_values=pixels).last_hidden_state)[0]


if __name__ == "__main__":
    serve(Torch)
