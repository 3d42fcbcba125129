"""The devices that a model runs on, and how they fare."""

from __future__ import annotations

import dataclasses

from chiasm._requests import RequestMaker


@dataclasses.dataclass(frozen=True)
class DeviceState:
    """How one of the devices that a model runs on fares."""

    device: str
    name: str
    failure: str
    """Why it is given no more requests; empty while it is."""
    memory_bytes: int
    waiting: int
    """Requests that wait for room there, as of its last step."""
    running: int
    kv_pages: int
    """Pages of its KV cache, of 64 tokens each."""
    kv_pages_in_use: int
    """Those in use, remembered prompts included."""


class OnDevices(RequestMaker):
    """What `Model` tells of its devices."""

    @property
    def devices(self) -> list[DeviceState]:
        """The devices that the model runs on, in the order of `chiasm.load(device=...)`; none for the
        CPU. Each holds all of the model and answers the requests that it is given."""
        return [
            DeviceState(
                device=native.device,
                name=native.name,
                failure=native.failure,
                memory_bytes=native.memory_bytes,
                waiting=native.stats.waiting,
                running=native.stats.running,
                kv_pages=native.stats.pages,
                kv_pages_in_use=native.stats.pages_in_use,
            )
            for native in self._native.devices()
        ]
