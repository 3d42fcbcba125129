"""Chiasm as tools of another program: a server of the Model Context Protocol. It needs the extra
`chiasm[mcp]`.

>>> import chiasm
>>> from chiasm.mcp import create_server
>>> create_server(chiasm.load(), ["holiday/"]).run("stdio")  # doctest: +SKIP
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from chiasm import _chiasm
from chiasm._extras import missing
from chiasm._folders import Folders
from chiasm._model import CAPTION, Model
from chiasm._video import Video, is_video
from chiasm.errors import Error

try:
    import anyio.to_thread
    from mcp.server import MCPServer
    from mcp.server.mcpserver.exceptions import ToolError
    from mcp.types import ToolAnnotations
    from pydantic import BaseModel, Field
except ImportError as e:
    raise missing("chiasm.mcp", e, "mcp") from e

if TYPE_CHECKING:
    from chiasm.rag import Hit, Index

_T = TypeVar("_T")
_LONGEST = 256
"""Tokens of an answer, where a call says nothing else."""

Picture = Annotated[
    str,
    Field(
        description="A picture or video file: its whole path, its path from one of this server's "
        "folders, or a data: URL of a picture."
    ),
]
MaxTokens = Annotated[int, Field(ge=1, description="The longest answer, in tokens.")]


class Found(BaseModel):
    """A hit of `search`."""

    file: str
    place: str = Field(description='Where in the file: "page 3", "line 12", "1:05", or empty.')
    kind: str
    words: str = Field(description="What it says, or what a model says of it.")
    similarity: float | None = Field(
        description="Cosine with the query; null where it was found by words alone."
    )


class Tools:
    """What a client may call. Its errors are results that say what was wrong."""

    def __init__(self, model: Model, folders: Folders, index: Index | None = None):
        self._model = model
        self._folders = folders
        self._index = index

    async def caption(self, picture: Picture, max_tokens: MaxTokens = _LONGEST) -> str:
        """Describe a picture or a video."""
        return await self._answer(picture, CAPTION, max_tokens)

    async def ask(
        self,
        picture: Picture,
        question: Annotated[str, Field(description="What to find out about it.")],
        max_tokens: MaxTokens = _LONGEST,
    ) -> str:
        """Answer a question about a picture or a video."""
        return await self._answer(picture, question, max_tokens)

    async def search(
        self,
        query: Annotated[str | None, Field(description="What to find, in words.")] = None,
        picture: Annotated[
            str | None, Field(description="A picture that those found should resemble.")
        ] = None,
        limit: Annotated[int, Field(ge=1, le=100, description="Hits at most.")] = 10,
        kinds: Annotated[
            list[Literal["picture", "page", "passage", "speech", "frame"]],
            Field(description="Only these; empty: all."),
        ] = [],  # a default of the tool's schema, never written to
    ) -> list[Found]:
        """Find pictures, pages of PDFs, passages of texts, speech and moments of videos, by words,
        by a picture or by both. The best fit comes first."""
        index = self._index
        assert index is not None
        with _told():
            like = None if picture is None else self._place(picture)
            hits = await _in_thread(
                lambda: index.search(query, image=like, limit=limit, kinds=kinds)
            )
        return [_found(hit) for hit in hits]

    async def _answer(self, picture: str, question: str, max_tokens: int) -> str:
        with _told():
            words = {"type": "text", "text": question}
            messages = [{"role": "user", "content": [self._item(picture), words]}]
            with self._model.stream(messages, max_tokens=max_tokens) as pieces:
                return (await _in_thread(lambda: "".join(pieces))).strip()

    def _item(self, picture: str) -> dict[str, Any]:
        place = self._place(picture)
        if not place.startswith("data:") and is_video(place):  # a real path begins with a slash
            return {"type": "video", "video": Video(place)}
        return {"type": "image", "image": place}

    def _place(self, picture: str) -> str:
        """A data: URL as it is, or the real path of a file."""
        return picture if picture.startswith("data:") else self._folders.file(picture)


def create_server(
    model: Model,
    folders: Iterable[str | os.PathLike[str]] = (".",),
    *,
    index: Index | None = None,
) -> Any:
    """An `mcp.server.MCPServer` with the tools `caption` and `ask`, and `search` where there is an
    index.

    Args:
        model: Who answers.
        folders: Where files may be read; never elsewhere, and nothing from a network.
        index: What `search` looks into. Its paths and words are shown, wherever its files are.

    Raises:
        RequestError: A folder is none.
    """
    readable = Folders(folders)
    server = MCPServer(
        "chiasm",
        instructions="Sees pictures and videos in these folders of this machine: "
        + ", ".join(map(str, readable.roots)),
        version=_chiasm.__version__,
        log_level="WARNING",
    )
    tools = Tools(model, readable, index)
    hints = ToolAnnotations(read_only_hint=True, open_world_hint=False)
    offered: list[Callable[..., Any]] = [tools.caption, tools.ask]
    if index is not None:
        offered.append(tools.search)
    for tool in offered:
        server.add_tool(tool, annotations=hints)
    return server


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """What was wrong reaches the client; of other exceptions the SDK tells it nothing."""
    try:
        yield
    except Error as e:
        raise ToolError(str(e)) from e


async def _in_thread(work: Callable[[], _T]) -> _T:
    """`work`, beside other calls. A call that the client gives up waits for it no longer."""
    return await anyio.to_thread.run_sync(work, abandon_on_cancel=True)


def _found(hit: Hit) -> Found:
    return Found(
        file=hit.path,
        place=hit.place,
        kind=hit.kind,
        words=hit.text or hit.caption or hit.title,
        similarity=hit.similarity,
    )
