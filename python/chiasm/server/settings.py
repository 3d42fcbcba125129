"""What a server serves, and its limits."""

from __future__ import annotations

import dataclasses
import pathlib
from typing import TYPE_CHECKING

from chiasm._embedder import Embedder
from chiasm._model import Model

if TYPE_CHECKING:
    from chiasm.rag import Index


@dataclasses.dataclass(frozen=True)
class Settings:
    """Limits of a server. The defaults are safe on a machine of one's own."""

    host: str = "127.0.0.1"
    port: int = 8000
    api_key: str | None = None
    """Asked of every route but /health and /ready; None: of none."""
    media_domains: tuple[str, ...] = ()
    """Hosts that pictures may be fetched from; none: data URLs only."""
    hosts: tuple[str, ...] = ()
    """Names that clients may call the server by, besides its address and localhost."""
    max_body_bytes: int = 32 << 20
    max_images: int = 16
    max_image_bytes: int = 16 << 20
    """Of one picture, encoded."""
    max_inputs: int = 256
    """Texts and pictures of one call of /v1/embeddings."""
    default_max_tokens: int = 512
    """The longest answer where a request does not say."""
    max_requests: int = 64
    """Requests that run or wait at once; one more is refused with 429."""
    memory_bytes: int = 4 << 30
    """What one request may need besides keys and values, by its plan; these have a cache of fixed
    size, and a request waits until it has room there."""
    body_seconds: float = 30.0
    """How long a client may take to send a body."""
    fetch_seconds: float = 10.0
    """How long a picture may take to come from an allowed host."""
    grace_seconds: float = 30.0
    """How long running requests may go on after the server was asked to stop."""


@dataclasses.dataclass(frozen=True)
class Models:
    """What is served. A route whose model is None answers that there is none."""

    chat: Model | None = None
    embedder: Embedder | None = None
    speech: Model | None = None
    chat_name: str | None = None
    embedder_name: str | None = None
    speech_name: str | None = None
    index: Index | None = None
    """What /v1/search looks into."""

    def names(self) -> dict[str, str]:
        """The role of each model by its name."""
        out: dict[str, str] = {}
        for role in ("chat", "embedder", "speech"):
            if getattr(self, role) is not None:
                out.setdefault(self.name(role), role)
        for adapter in self.adapters():
            out.setdefault(adapter, "chat")
        return out

    def adapters(self) -> list[str]:
        """Names under which the chat model answers through an adapter."""
        return [] if self.chat is None else [a.name for a in self.chat.adapters]

    def name(self, role: str) -> str:
        """The name of a model that is there: the given one, or its folder's."""
        given: str | None = getattr(self, f"{role}_name")
        return given or pathlib.Path(getattr(self, role).info.path).resolve().name
