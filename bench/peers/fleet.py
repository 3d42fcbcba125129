"""The peers' processes and the models loaded in them, started as they are asked for."""

from __future__ import annotations

import pathlib
from dataclasses import dataclass
from typing import Any

from peers.process import PeerError, Worker
from peers.rows import MODELS, Spec


@dataclass
class Places:
    """Where things are. None: that peer is not there."""

    data: pathlib.Path
    gguf: pathlib.Path
    chiasm_python: str
    peers_python: str | None
    llama_bindings: pathlib.Path | None
    llama_build: pathlib.Path | None
    llama_build_avx2: pathlib.Path | None = None


class Fleet:
    def __init__(self, places: Places, threads: int):
        self._places = places
        self._threads = threads
        self._workers: dict[str, Worker] = {}
        self._loaded: dict[str, Any] = {}
        self.missing: dict[str, str] = {}  # model: why it cannot run

    def call(self, model: str, function: str, **arguments: Any) -> Any:
        """PeerError when the model is missing or the call failed."""
        self.need(model)
        if model in self.missing:
            raise PeerError(self.missing[model])
        worker = self._workers[MODELS[model].peer]
        return worker.call(function, model=model, **arguments)

    def need(self, model: str) -> bool:
        """Loads a model unless it is there; False, with a reason in `missing`, when that fails."""
        if model in self._loaded or model in self.missing:
            return model in self._loaded
        spec = MODELS[model]
        try:
            if spec.peer not in self._workers:
                self._workers[spec.peer] = self._start(spec.peer)
            files = {"mmproj": str(self._places.data / spec.mmproj)} if spec.mmproj else {}
            threads = 1 if spec.peer.endswith("-1") else self._threads
            self._loaded[model] = self._workers[spec.peer].call(
                "load", model=model, path=self._path(spec), threads=threads, **files, **spec.settings
            )
        except PeerError as error:
            self.missing[model] = str(error)
        return model in self._loaded

    def memory(self, model: str, **arguments: Any) -> dict[str, float]:
        """Resident megabytes of the model's process, which is started if need be."""
        peer = MODELS[model].peer
        if peer not in self._workers:
            self._workers[peer] = self._start(peer)
        found: dict[str, float] = self._workers[peer].call("memory", **arguments)
        return found

    def close(self) -> None:
        for worker in self._workers.values():
            worker.close()
        self._workers, self._loaded = {}, {}

    def _path(self, spec: Spec) -> str:
        path = self._places.gguf if spec.path == "gguf" else self._places.data / spec.path
        if not path.exists():
            raise PeerError(f"{path.name} has not been made; see bench/README.md")
        return str(path)

    def _start(self, peer: str) -> Worker:
        module, _, variant = peer.partition("-")
        environment = {"BENCH_LOGS": str(self._places.data)}
        if module == "chiasm":
            if variant == "avx2":
                environment["CHIASM_FORCE_CPU"] = "avx2"
            return Worker("chiasm_peer", self._places.chiasm_python, environment)
        if self._places.peers_python is None:
            raise PeerError("not installed")
        if module == "llama":
            if self._places.llama_bindings:
                environment["PYTHONPATH"] = str(self._places.llama_bindings)
            build = self._places.llama_build
            if variant == "avx2":
                build = self._places.llama_build_avx2
                if build is None:
                    raise PeerError("not installed")
            if build:
                libraries = str(build / "bin")
                environment["LLAMA_CPP_LIB_PATH"] = environment["MTMD_CPP_LIB"] = libraries
        try:
            return Worker(f"{module}_peer", self._places.peers_python, environment)
        except PeerError as error:
            raise PeerError(f"not installed ({error})") from None
