"""OpenVINO: the exported vision encoder, and openvino-genai on the GGUF language model."""

from __future__ import annotations

import time
from typing import Any

from peers import inputs
from peers.process import forget_the_most, resident_megabytes, serve


class OpenVino:
    def __init__(self) -> None:
        import numpy as np
        import openvino

        self._np, self._openvino = np, openvino
        self._models: dict[str, Any] = {}

    def load(self, model: str, path: str, threads: int, precision: str = "bf16") -> None:
        """An exported encoder (`.xml`) or a language model (`.gguf`)."""
        hints = {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": threads}
        if path.endswith(".xml"):
            compiled = self._openvino.Core().compile_model(path, "CPU", hints)
            self._models[model] = compiled.create_infer_request()
        else:
            import openvino_genai

            self._models[model] = openvino_genai.LLMPipeline(path, "CPU", **hints)

    def encode(self, model: str, seed: int) -> float:
        pixels = inputs.tile_values(inputs.picture(512, seed))
        start = time.perf_counter()
        self._models[model].infer([pixels])
        return time.perf_counter() - start

    def encode_tiles(self, model: str, tiles: int, seed: int) -> float:
        return sum(self.encode(model, seed + i) for i in range(tiles))

    def features(self, model: str, seed: int, out: str) -> None:
        pixels = inputs.tile_values(inputs.picture(512, seed))
        self._models[model].infer([pixels])
        values = self._models[model].get_output_tensor(0).data
        self._np.save(out, self._np.array(values, self._np.float32).reshape(-1, values.shape[-1]))

    def prefill(self, model: str, tokens: int, seed: int) -> float:
        return float(self._generate(model, tokens, 1, seed).get_ttft().mean) / 1e3

    def decode(self, model: str, depth: int, tokens: int, seed: int) -> float:
        metrics = self._generate(model, max(1, depth), tokens + 1, seed)
        return float(metrics.get_tpot().mean) / 1e3 * tokens

    def memory(self, picture: int | None = None) -> dict[str, float]:
        """Now and at most; with the seed of a large picture, from when that is made."""
        if picture is not None:
            inputs.picture(2048, picture)
            forget_the_most()
        return resident_megabytes()

    def _generate(self, model: str, length: int, tokens: int, seed: int) -> Any:
        import openvino_genai

        ids = self._np.array([inputs.token_ids(length, seed)], self._np.int64)
        prompt = openvino_genai.TokenizedInputs(
            self._openvino.Tensor(ids), self._openvino.Tensor(self._np.ones_like(ids))
        )
        config = openvino_genai.GenerationConfig(max_new_tokens=tokens, ignore_eos=True, do_sample=False)
        return self._models[model].generate(prompt, config).perf_metrics


if __name__ == "__main__":
    serve(OpenVino)
