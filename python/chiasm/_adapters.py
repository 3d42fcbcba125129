"""Low-rank adapters (LoRA) beside a model's weights."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from typing import Any

from chiasm import _chiasm
from chiasm._options import utf8
from chiasm._requests import RequestMaker
from chiasm._results import fields_of
from chiasm.errors import RequestError


@dataclasses.dataclass(frozen=True)
class AdapterInfo:
    """A loaded adapter."""

    name: str
    path: str
    modules: int
    """How many of the model's modules it changes."""
    rank: int
    """The largest of them."""
    bytes: int
    """Resident, float32."""
    changes_encoder: bool
    """Whether it changes more than the text decoder: pictures are then encoded anew for it."""

    def as_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


class Adapters(RequestMaker):
    """The part of a model that has adapters."""

    _native: _chiasm.Model

    def load_adapter(self, name: str, path: str | os.PathLike[str]) -> AdapterInfo:
        """Reads a PEFT LoRA folder beside any others. Requests choose it by `adapter=name`, each its
        own, also within one batch; `model.adapter = name` makes it that of requests which name none.
        One of the same name is replaced.

        Raises:
            ModelError: The folder is missing, damaged, of another model (the tensor and both shapes
                are told) or more than a LoRA (DoRA, biases, modules saved whole).
            RequestError: The name is empty.
            DeviceError: The model runs on a device.
        """
        self._native.load_adapter(utf8("name", name), utf8("path", os.fspath(path)))
        return next(a for a in self.adapters if a.name == name)

    def unload_adapter(self, name: str) -> None:
        """Takes an adapter away; requests that run with it go on.

        Raises:
            RequestError: There is none of that name.
        """
        self._native.unload_adapter(utf8("name", name))
        if self.adapter == name:
            self.adapter = None

    @property
    def adapters(self) -> list[AdapterInfo]:
        """The adapters that requests may name."""
        return [AdapterInfo(**fields_of(AdapterInfo, a)) for a in self._native.adapters()]


def load_all(model: Adapters, lora: Any) -> None:
    """What `chiasm.load` takes as `lora`: one path, whose adapter is then every request's, or paths
    by name."""
    if isinstance(lora, Mapping):
        for name, path in lora.items():
            model.load_adapter(name, path)
        return
    if not isinstance(lora, (str, os.PathLike)):
        raise RequestError(f"lora is of type {type(lora).__name__}, expected a path or a dict of them")
    path = os.fspath(lora)
    name = os.path.basename(os.path.normpath(path)) or "lora"
    model.load_adapter(name, path)
    model.adapter = name
