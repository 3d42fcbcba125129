"""The HTTP server as a deployment of Ray Serve."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from chiasm import _load
from chiasm._options import integer
from chiasm.errors import RequestError
from chiasm.rag._spaces import model_name
from chiasm.ray._cluster import ray_module

if TYPE_CHECKING:
    from chiasm.server import Settings


def deployment(
    model: str | os.PathLike[str] | None = None,
    *,
    embedder: str | os.PathLike[str] | None = None,
    speech: str | os.PathLike[str] | None = None,
    name: str | None = None,
    load: Mapping[str, Any] | None = None,
    settings: Settings | None = None,
    replicas: int | str = 1,
    cpus: int = 1,
    **options: Any,
) -> Any:
    """The server of `chiasm serve` for Ray Serve: `ray.serve.run(chiasm.ray.deployment(...))`. Each
    replica loads the models and answers OpenAI's routes, in one batch of all its requests, streams
    included.

    Args:
        model: As for `chiasm.load`; every node must find it.
        embedder: The model of /v1/embeddings; by default the bundled one, where it is the model too.
        speech: A Whisper model for /v1/audio/transcriptions.
        name: What clients call the model; else its folder.
        load: Settings of `chiasm.load` for model and speech, without `threads`.
        settings: Limits of a replica (`chiasm.server.Settings`). Clients that call by a host name,
            rather than an address, need it in `hosts`.
        replicas: How many, or "auto": Serve decides by load.
        cpus: CPUs of a replica, and its threads.
        options: More of `serve.deployment`'s.

    Raises:
        RequestError: Ray Serve or the server's packages are missing, or a setting is out of range.
    """
    ray_module()
    try:
        from ray import serve

        from chiasm.server import Settings
    except ImportError as e:
        raise RequestError(
            f"chiasm.ray.deployment needs the package {e.name}: pip install 'chiasm[ray]'"
        ) from e
    cpus = integer("cpus", cpus, 1, 1024)
    limits = settings or Settings()
    chats, embeds, hears = (model_name(one) for one in (model, embedder, speech))
    loading: dict[str, Any] = dict(load or {}) | {"threads": cpus}

    def application() -> Any:
        """Travels to a replica and is called there."""
        from chiasm.server import Models, create_app

        bundled = chats is None  # has a search head
        models = Models(
            chat=_load.load(chats, **loading),
            embedder=_load.load_embedder(embeds, threads=cpus) if embeds or bundled else None,
            speech=_load.load(hears, **loading) if hears else None,
            chat_name=name,
        )
        return create_app(models, limits)

    shared = {
        "name": "chiasm",
        "num_replicas": replicas,
        "max_ongoing_requests": limits.max_requests,
        "graceful_shutdown_timeout_s": limits.grace_seconds,
        "ray_actor_options": {"num_cpus": cpus},
    }
    made = serve.deployment(**(shared | options))(serve.ingress(application)())
    return made.bind()

