"""Chiasm behind LangChain's interfaces: pip install "chiasm[langchain]".

>>> from chiasm.rag import Index, langchain  # doctest: +SKIP
>>> retriever = langchain.IndexRetriever(index=Index("my.lance"))  # doctest: +SKIP
>>> retriever.invoke("What does the invoice say?")[0].metadata["path"]  # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun, CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.retrievers import BaseRetriever
from pydantic import ConfigDict, Field

from chiasm._embedder import Embedder
from chiasm._model import Model
from chiasm.errors import RequestError
from chiasm.rag._index import Index
from chiasm.rag._retriever import Retriever

_ROLES = {"human": "user", "ai": "assistant", "system": "system"}


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
            Document(page_content=hit.text or hit.caption or hit.title, metadata=hit.as_dict(), id=hit.id)
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
    """A chat model that sees: contents may hold image_url items with data URLs or paths."""

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

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        out = self.model.generate(_messages(messages), **self._settings(stop, kwargs))
        usage = {
            "input_tokens": out.usage.prompt_tokens,
            "output_tokens": out.usage.completion_tokens,
            "total_tokens": out.usage.prompt_tokens + out.usage.completion_tokens,
        }
        message = AIMessage(
            content=out.text,
            usage_metadata=usage,
            response_metadata={"finish_reason": out.finish_reason},
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        with self.model.stream(_messages(messages), **self._settings(stop, kwargs)) as pieces:
            for piece in pieces:
                chunk = ChatGenerationChunk(message=AIMessageChunk(content=piece))
                if run_manager is not None:
                    run_manager.on_llm_new_token(piece, chunk=chunk)
                yield chunk

    def _settings(self, stop: list[str] | None, others: dict[str, Any]) -> dict[str, Any]:
        return {**self.settings, **others, **({"stop": stop} if stop else {})}


def _messages(messages: list[BaseMessage]) -> list[dict[str, Any]]:
    out = []
    for message in messages:
        if message.type not in _ROLES:
            raise RequestError(f"a message of type {message.type}: expected human, ai or system")
        content = message.content
        if not isinstance(content, str):
            content = [{"type": "text", "text": c} if isinstance(c, str) else c for c in content]
        out.append({"role": _ROLES[message.type], "content": content})
    return out
