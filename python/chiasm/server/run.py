"""Serves an application until it is told to stop."""

from __future__ import annotations

import logging
import signal
import sys
import threading
from types import FrameType

import uvicorn

from chiasm.errors import RequestError
from chiasm.server.app import create_app
from chiasm.server.settings import Models, Settings
from chiasm.server.state import State


class _Server(uvicorn.Server):
    """Tells the application that the end is near: running requests go on, for a while."""

    state: State

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self.state.stopping:  # asked twice: at once
            self.state.jobs.cancel_all()
        else:
            self.state.stopping = True
            grace = threading.Timer(self.state.settings.grace_seconds, self.state.jobs.cancel_all)
            grace.daemon = True
            grace.start()
        super().handle_exit(sig, frame)


def serve(models: Models, settings: Settings) -> None:
    """Runs until SIGINT or SIGTERM.

    Raises:
        RequestError: The address cannot be listened at.
    """
    app = create_app(models, settings)
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        log_level="warning",
        server_header=False,
        # Past the grace, when cancelled requests should have ended.
        timeout_graceful_shutdown=int(settings.grace_seconds) + 5,
        timeout_keep_alive=15,
        h11_max_incomplete_event_size=64 << 10,
        ws="none",
    )
    logging.getLogger("asyncio").setLevel(logging.ERROR)  # clients go; that is no news
    server = _Server(config)
    server.state = app.state.chiasm
    try:
        socket = config.bind_socket()
    except SystemExit:
        raise RequestError(f"{settings.host}:{settings.port}: cannot be listened at") from None
    socket.listen(1024)  # from now on clients may come
    host, port = socket.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    print(f"chiasm: serving at http://{shown}:{port}", file=sys.stderr, flush=True)
    # uvicorn raises the signal again once it has stopped. That was all that it asked for.
    signal.signal(signal.SIGTERM, lambda number, frame: None)
    server.run(sockets=[socket])
