"""Writing down what a model computes: every stage under the name of Chiasm's tap, as float32 rows in a
file of its own, piece by piece, so that nothing is held in memory."""

from __future__ import annotations

import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

Pick = Callable[[Any], Any]


class Keeper:
    """Hooks on a model's modules, and the files that they fill. A context: it ends with the hooks
    taken off."""

    def __init__(self, folder: str, case: str):
        self._folder, self._case = pathlib.Path(folder), case
        self.stages: list[dict[str, Any]] = []
        self.handles: list[Any] = []
        self._nested = 0

    def __enter__(self) -> Keeper:
        return self

    def __exit__(self, *_: Any) -> None:
        for handle in self.handles:
            handle.remove()

    def keep(self, name: str, tensor: Any) -> None:
        """Appends rows to a stage: [..., columns] as [rows, columns]."""
        rows = tensor.detach().reshape(-1, tensor.shape[-1]).float().numpy()
        stage = next((s for s in self.stages if s["name"] == name), None)
        if stage is None:
            file = f"{self._case}.{name}.f32"
            stage = {"name": name, "file": file, "rows": 0, "columns": rows.shape[1]}
            self.stages.append(stage)
        stage["rows"] += rows.shape[0]
        with open(self._folder / stage["file"], "ab") as file_:
            file_.write(np.ascontiguousarray(rows).tobytes())

    def output(self, module: Any, name: str, pick: Pick = lambda x: x) -> None:
        def hear(_: Any, __: Any, output: Any) -> None:
            self.keep(name, pick(output[0] if isinstance(output, tuple) else output))

        self.handles.append(module.register_forward_hook(hear))

    def input(self, module: Any, name: str, pick: Pick = lambda x: x) -> None:
        def hear(_: Any, args: Any, kwargs: Any) -> None:
            self.keep(name, pick(args[0] if args else kwargs["hidden_states"]))

        self.handles.append(module.register_forward_pre_hook(hear, with_kwargs=True))

    def layers(self, layers: Any, part: str, pick: Pick = lambda x: x) -> None:
        """What enters a tower's first layer, and what leaves each."""
        self.input(layers[0], f"{part}.embed", pick)
        for i, layer in enumerate(layers):
            self.output(layer, f"{part}.layers.{i}", pick)

    def features(self, model: Any) -> None:
        """The rows of all pictures as they go among the text's."""
        inner = model.get_image_features

        def record(*args: Any, **kwargs: Any) -> Any:
            out = inner(*args, **kwargs)
            rows = getattr(out, "pooler_output", out)
            for part in rows if isinstance(rows, (list, tuple)) else [rows]:
                self.keep("projector.out", part)
            return out

        model.get_image_features = record
        self.handles.append(_Restore(model, "get_image_features"))


class _Restore:
    """Takes an instance's attribute away, so that its class's shows again."""

    def __init__(self, owner: Any, name: str):
        self._owner, self._name = owner, name

    def remove(self) -> None:
        delattr(self._owner, self._name)


def rounded(model: Any, dtype: str) -> Any:
    """The model with its weights rounded to `dtype` and float32 arithmetic on them."""
    if dtype != "float32":
        with torch.no_grad():
            for weight in model.parameters():
                weight.copy_(weight.to(getattr(torch, dtype)).float())
    return model.eval()
