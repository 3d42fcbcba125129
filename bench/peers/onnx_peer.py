"""onnxruntime: the exported vision encoder in float32, its only fast format on CPUs, and with 8-bit weights
and activations (its own dynamic quantization)."""

from __future__ import annotations

import time
from typing import Any

from peers import inputs
from peers.process import serve


class Onnx:
    def __init__(self) -> None:
        import numpy as np
        import onnxruntime

        self._np, self._onnxruntime = np, onnxruntime
        self._models: dict[str, Any] = {}

    def load(self, model: str, path: str, threads: int) -> None:
        options = self._onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self._models[model] = self._onnxruntime.InferenceSession(
            path, options, providers=["CPUExecutionProvider"]
        )

    def encode(self, model: str, seed: int) -> float:
        pixels = inputs.tile_values(inputs.picture(512, seed))
        start = time.perf_counter()
        self._run(model, pixels)
        return time.perf_counter() - start

    def features(self, model: str, seed: int, out: str) -> None:
        values = self._run(model, inputs.tile_values(inputs.picture(512, seed)))
        self._np.save(out, values.reshape(-1, values.shape[-1]))

    def _run(self, model: str, pixels: Any) -> Any:
        session = self._models[model]
        return session.run(None, {session.get_inputs()[0].name: pixels})[0]


if __name__ == "__main__":
    serve(Onnx)
