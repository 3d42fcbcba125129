"""What every route of one application shares."""

from __future__ import annotations

import time
from typing import Any, cast

from starlette.requests import Request

from chiasm.server.errors import ApiError
from chiasm.server.jobs import Jobs
from chiasm.server.metrics import Metrics
from chiasm.server.settings import Models, Settings

_KINDS = {"chat": "answers messages", "embedder": "embeds", "speech": "writes down speech"}


class State:
    def __init__(self, models: Models, settings: Settings):
        self.models = models
        self.settings = settings
        self.jobs = Jobs(settings.max_requests)
        self.metrics = Metrics()
        self.created = int(time.time())
        self.stopping = False
        """New requests are refused, those that run go on."""

    def model(self, role: str, name: str) -> Any:
        """The model of a role. ApiError 404 when it has another name, or is not there."""
        names = self.models.names()
        if getattr(self.models, role) is None:
            raise ApiError(
                404, f"this server has no model that {_KINDS[role]}", code="model_not_found"
            )
        adapted = role == "chat" and name in self.models.adapters()
        if name != self.models.name(role) and not adapted:
            raise ApiError(
                404,
                f"the model {name!r} is not here; this server has {', '.join(sorted(names))}",
                param="model",
                code="model_not_found",
            )
        return getattr(self.models, role)

    def adapter(self, name: str) -> str:
        """The adapter that the chat model's name asks for; "": none."""
        return "" if name == self.models.name("chat") else name


def state_of(request: Request) -> State:
    return cast(State, request.app.state.chiasm)
