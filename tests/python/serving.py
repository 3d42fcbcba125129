"""A server in this process, for tests of real clients."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator
from typing import Any

import uvicorn

from chiasm.server import Models, Settings, create_app
from chiasm.server.state import State


class Running:
    """A server at `url` until the `with` block ends."""

    def __init__(self, models: Models, settings: Settings | None = None):
        self.app = create_app(models, settings or Settings())
        self.state: State = self.app.state.chiasm
        config = uvicorn.Config(self.app, port=0, log_level="warning", ws="none")
        self._socket = config.bind_socket()
        self.port: int = self._socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._socket]}, name="server"
        )

    def __enter__(self) -> Running:
        self._thread.start()
        while not self._server.started:
            time.sleep(0.01)
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self.state.jobs.cancel_all()
        self._thread.join()

    def idle(self, seconds: float = 10) -> bool:
        """Whether every request ends within `seconds`."""
        end = time.monotonic() + seconds
        while self.state.jobs.active and time.monotonic() < end:
            time.sleep(0.01)
        return not self.state.jobs.active


@contextlib.contextmanager
def serving(models: Models, **settings: object) -> Iterator[Running]:
    with Running(models, Settings(**settings)) as running:  # type: ignore[arg-type]
        yield running


def shot(page: Any, name: str) -> None:
    """A picture of the page, for whoever wants to look: CHIASM_SHOTS=FOLDER."""
    if folder := os.environ.get("CHIASM_SHOTS"):
        page.screenshot(path=f"{folder}/{name}.png")
