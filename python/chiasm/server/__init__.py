"""The HTTP server: OpenAI's API over a loaded model. It needs the extra `chiasm[serve]`.

>>> import chiasm
>>> from chiasm.server import Models, Settings, create_app
>>> app = create_app(Models(chat=chiasm.load()), Settings())  # an ASGI application  # doctest: +SKIP
"""

from __future__ import annotations

from chiasm.server.app import create_app
from chiasm.server.settings import Models, Settings

__all__ = ["Models", "Settings", "create_app"]
