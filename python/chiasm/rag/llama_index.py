"""Chiasm behind LlamaIndex's interfaces: pip install "chiasm[llama-index]".

>>> from chiasm.rag import Index, llama_index  # doctest: +SKIP
>>> retriever = llama_index.IndexRetriever(Index("my.lance"))  # doctest: +SKIP
>>> retriever.retrieve("What does the invoice say?")[0].metadata["path"]  # doctest: +SKIP
"""

from __future__ import annotations

import asyncio
from typing import Any

from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    ChatResponseGen,
    CompletionResponse,
    CompletionResponseGen,
    ImageBlock,
    LLMMetadata,
    MessageRole,
    TextBlock,
)
from llama_index.core.embeddings import MultiModalEmbedding
from llama_index.core.llms import CustomLLM
from llama_index.core.llms.callbacks import llm_chat_callback, llm_completion_callback
from llama_index.core.retrievers import BaseRetriever
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode
from pydantic import Field, PrivateAttr

from chiasm._embedder import Embedder
from chiasm._model import Model
from chiasm.errors import RequestError
from chiasm.rag._index import Index
from chiasm.rag._retriever import Retriever


class IndexRetriever(BaseRetriever):  # type: ignore[misc]
    """Nodes of an index: the words of a passage, the caption of a picture. `metadata` is
    `Hit.as_dict`. Settings as for `chiasm.rag.Retriever`."""

    def __init__(self, index: Index, **settings: Any):
        super().__init__()
        self._retriever = Retriever(index, **settings)

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return [
            NodeWithScore(
                node=TextNode(
                    id_=hit.id, text=hit.text or hit.caption or hit.title, metadata=hit.as_dict()
                ),
                score=hit.score,
            )
            for hit in self._retriever.retrieve(query_bundle.query_str)
        ]


class ChiasmEmbedding(MultiModalEmbedding):  # type: ignore[misc]
    """Vectors of texts and of pictures in one space."""

    _embedder: Embedder = PrivateAttr()

    def __init__(self, embedder: Embedder, **settings: Any):
        super().__init__(model_name=embedder.info.path, **settings)
        self._embedder = embedder

    def _get_text_embedding(self, text: str) -> list[float]:
        return _row(self._embedder.embed_text(text))

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        rows: list[list[float]] = self._embedder.embed_text(texts).tolist()
        return rows

    def _get_query_embedding(self, query: str) -> list[float]:
        return _row(self._embedder.embed_text(query))

    def _get_image_embedding(self, img_file_path: Any) -> list[float]:
        return _row(self._embedder.embed_image(img_file_path))

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return await asyncio.to_thread(self._get_query_embedding, query)

    async def _aget_image_embedding(self, img_file_path: Any) -> list[float]:
        return await asyncio.to_thread(self._get_image_embedding, img_file_path)


class ChiasmLLM(CustomLLM):  # type: ignore[misc]
    """A model that answers chats, with pictures where it sees, and continues prompts."""

    settings: dict[str, Any] = Field(default_factory=dict)
    """As for `Model.generate`: max_tokens, temperature, ..."""
    _model: Model = PrivateAttr()

    def __init__(self, model: Model, **settings: Any):
        super().__init__(settings=settings)
        self._model = model

    @classmethod
    def class_name(cls) -> str:
        return "chiasm"

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata(
            context_window=self._model.info.max_context,
            num_output=self.settings.get("max_tokens", 128),
            is_chat_model=True,
            model_name=self._model.info.path,
        )

    @llm_chat_callback()  # type: ignore[untyped-decorator]
    def chat(self, messages: Any, **kwargs: Any) -> ChatResponse:
        out = self._model.generate(_messages(messages), **{**self.settings, **kwargs})
        return ChatResponse(message=_said(out.text), raw=out.as_dict())

    @llm_chat_callback()  # type: ignore[untyped-decorator]
    def stream_chat(self, messages: Any, **kwargs: Any) -> ChatResponseGen:
        request = _messages(messages)

        def pieces() -> ChatResponseGen:
            text = ""
            with self._model.stream(request, **{**self.settings, **kwargs}) as stream:
                for piece in stream:
                    text += piece
                    yield ChatResponse(message=_said(text), delta=piece)

        return pieces()

    @llm_completion_callback()  # type: ignore[untyped-decorator]
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        """Answers a prompt as a message of a user; one that is `formatted` is continued raw."""
        out = self._model.generate(_prompt(prompt, formatted), **{**self.settings, **kwargs})
        return CompletionResponse(text=out.text, raw=out.as_dict())

    @llm_completion_callback()  # type: ignore[untyped-decorator]
    def stream_complete(
        self, prompt: str, formatted: bool = False, **kwargs: Any
    ) -> CompletionResponseGen:
        def pieces() -> CompletionResponseGen:
            text = ""
            settings = {**self.settings, **kwargs}
            with self._model.stream(_prompt(prompt, formatted), **settings) as stream:
                for piece in stream:
                    text += piece
                    yield CompletionResponse(text=text, delta=piece)

        return pieces()


def _row(vector: Any) -> list[float]:
    row: list[float] = vector.tolist()
    return row


def _said(text: str) -> ChatMessage:
    return ChatMessage(role=MessageRole.ASSISTANT, content=text)


def _prompt(prompt: str, formatted: bool) -> Any:
    return prompt if formatted else [{"role": "user", "content": prompt}]


def _messages(messages: Any) -> list[dict[str, Any]]:
    out = []
    for message in messages:
        content: list[dict[str, Any]] = []
        for block in message.blocks:
            if isinstance(block, TextBlock):
                content.append({"type": "text", "text": block.text})
            elif isinstance(block, ImageBlock):
                content.append({"type": "image", "image": block.resolve_image().read()})
            else:
                raise RequestError(f"a {type(block).__name__}: expected words or a picture")
        out.append({"role": str(message.role.value), "content": content})
    return out
