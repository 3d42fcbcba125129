"""Chiasm behind LangChain's interfaces: pip install "chiasm[langchain]".

>>> import chiasm
>>> from chiasm.rag import Index, langchain  # doctest: +SKIP
>>> chat = langchain.ChatChiasm(model=chiasm.load())  # doctest: +SKIP
>>> chat.invoke("What is a dog?").content  # doctest: +SKIP
>>> retriever = langchain.IndexRetriever(index=Index("my.lance"))  # doctest: +SKIP
>>> retriever.invoke("What does the invoice say?")[0].metadata["path"]  # doctest: +SKIP
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from chiasm._calls import Reader, Tools, asked, new_id
from chiasm._embedder import Embedder
from chiasm._extras import missing
from chiasm._model import Model
from chiasm._results import Result
from chiasm._tools import Call
from chiasm.errors import RequestError
from chiasm.rag._index import Index
from chiasm.rag._retriever import Retriever

try:
    from langchain_core.callbacks import CallbackManagerForLLMRun, CallbackManagerForRetrieverRun
    from langchain_core.documents import Document
    from langchain_core.embeddings import Embeddings
    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import (
        AIMessage,
        AIMessageChunk,
        BaseMessage,
        HumanMessage,
        SystemMessage,
        ToolMessage,
    )
    from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
    from langchain_core.retrievers import BaseRetriever
    from langchain_core.utils.function_calling import convert_to_openai_tool
    from pydantic import ConfigDict, Field
except ImportError as e:
    raise missing("chiasm.rag.langchain", e, "langchain") from e

_ROLES = {
    HumanMessage: "user",
    AIMessage: "assistant",
    SystemMessage: "system",
    ToolMessage: "tool",
}
_NOT_SHOWN = {"tool_call", "tool_call_chunk", "tool_use", "reasoning", "thinking"}
"""Items of contents that say again what a message's `tool_calls` say, or were not meant to be said."""


class IndexRetriever(BaseRetriever):  # type: ignore[misc]
    """Documents of an index: the words of a passage, the caption of a picture. `metadata` is
    `Hit.as_dict`. What has nothing to do with the question is left out."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    index: Index
    limit: int = 6
    settings: dict[str, Any] = Field(default_factory=dict)
    """As for `chiasm.rag.Retriever`."""

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun
    ) -> list[Document]:
        hits = Retriever(self.index, limit=self.limit, **self.settings).retrieve(query)
        return [
            Document(
                page_content=hit.text or hit.caption or hit.title, metadata=hit.as_dict(), id=hit.id
            )
            for hit in hits
        ]


class ChiasmEmbeddings(Embeddings):  # type: ignore[misc]
    """Vectors of texts, and of pictures by `embed_images`."""

    def __init__(self, embedder: Embedder):
        self.embedder = embedder

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        rows: list[list[float]] = self.embedder.embed_text(texts).tolist()
        return rows

    def embed_query(self, text: str) -> list[float]:
        row: list[float] = self.embedder.embed_text(text).tolist()
        return row

    def embed_images(self, uris: list[str]) -> list[list[float]]:
        rows: list[list[float]] = self.embedder.embed_image(uris).tolist()
        return rows


class ChatChiasm(BaseChatModel):  # type: ignore[misc]
    """A chat model that sees: contents may hold pictures as image_url items with data URLs or paths, or
    as LangChain's own image items; sounds likewise where the model hears.

    `bind_tools` works with models whose chat templates know tools, and with `tool_choice="any"` or
    a tool's name with every model: the answer is held to the form of a call. So does
    `with_structured_output`.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    model: Model
    settings: dict[str, Any] = Field(default_factory=dict)
    """As for `Model.generate`: max_tokens, temperature, ..."""

    @property
    def _llm_type(self) -> str:
        return "chiasm"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"model": self.model.info.path, **self.settings}

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> Any:
        """What traces say of a call."""
        known = super()._get_ls_params(stop=stop, **{**self.settings, **kwargs})
        known.setdefault("ls_model_name", self.model.info.path)
        return known

    def bind_tools(self, tools: Sequence[Any], *, tool_choice: Any = None, **kwargs: Any) -> Any:
        """The same model with tools: functions, pydantic classes, LangChain's or OpenAI's tools.

        Args:
            tool_choice: "auto", "none", "any" (or "required", True), or the name of a tool.
        """
        shown = [convert_to_openai_tool(tool) for tool in tools]
        return self.bind(tools=shown, tool_choice=tool_choice, **kwargs)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        tools, settings = self._asked(stop, kwargs)
        out = self.model.generate(_messages(messages), **settings)
        words, calls = tools.read(out)
        message = AIMessage(
            content=words,
            tool_calls=[
                {"name": call.name, "args": json.loads(call.arguments), "id": new_id()}
                for call in calls
            ],
            **self._told(out, calls),
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        """Words as they come; calls, usage and why it ended with the last of them."""
        tools, settings = self._asked(stop, kwargs)
        reader = Reader(tools)
        with self.model.stream(_messages(messages), **settings) as pieces:
            for piece in pieces:
                if words := reader.push(piece):
                    yield _chunk(run_manager, AIMessageChunk(content=words))
            out = pieces.result
        assert out is not None
        words, calls = reader.end(out)
        chunks = [
            {"name": call.name, "args": call.arguments, "id": new_id(), "index": i}
            for i, call in enumerate(calls)
        ]
        told = self._told(out, calls)
        yield _chunk(run_manager, AIMessageChunk(content=words, tool_call_chunks=chunks, **told))

    def _asked(
        self, stop: list[str] | None, others: dict[str, Any]
    ) -> tuple[Tools, dict[str, Any]]:
        """The tools of a call, and its settings."""
        return asked(self.model, {**self.settings, **others, **({"stop": stop} if stop else {})})

    def _told(self, out: Result, calls: list[Call]) -> dict[str, Any]:
        """What a message says besides its words and calls."""
        usage = out.usage
        return {
            "usage_metadata": {
                "input_tokens": usage.prompt_tokens,
                "output_tokens": usage.completion_tokens,
                "total_tokens": usage.prompt_tokens + usage.completion_tokens,
                "input_token_details": {"cache_read": usage.cached_tokens},
            },
            "response_metadata": {
                "finish_reason": "tool_calls" if calls else out.finish_reason,
                "model_name": self.model.info.path,
            },
        }


def _chunk(
    run_manager: CallbackManagerForLLMRun | None, message: AIMessageChunk
) -> ChatGenerationChunk:
    chunk = ChatGenerationChunk(message=message)
    if run_manager is not None:
        run_manager.on_llm_new_token(message.content, chunk=chunk)
    return chunk


def _messages(messages: list[BaseMessage]) -> list[dict[str, Any]]:
    return [_message(message) for message in messages]


def _message(message: BaseMessage) -> dict[str, Any]:
    role = next((role for kind, role in _ROLES.items() if isinstance(message, kind)), None)
    if role is None:
        raise RequestError(f"a message of type {message.type}: expected human, ai, system or tool")
    content = message.content
    if not isinstance(content, str):
        content = [item for part in content if (item := _item(part)) is not None] or ""
    out: dict[str, Any] = {"role": role, "content": content}
    if isinstance(message, ToolMessage):
        out["tool_call_id"] = message.tool_call_id
    if isinstance(message, AIMessage) and message.tool_calls:
        out["tool_calls"] = [
            {"type": "function", "function": {"name": call["name"], "arguments": call["args"]}}
            | ({"id": call["id"]} if call.get("id") else {})
            for call in message.tool_calls
        ]
    return out


def _item(part: Any) -> dict[str, Any] | None:
    """An item of a content as Chiasm has it."""
    if isinstance(part, str):
        return {"type": "text", "text": part}
    if part.get("type") in _NOT_SHOWN:
        return None
    if part.get("source_type") == "base64":  # how LangChain 0.3 wrote {"type", "base64"}
        return {"type": part.get("type"), "base64": part.get("data")}
    return dict(part)
