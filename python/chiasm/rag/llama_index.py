"""Chiasm behind LlamaIndex's interfaces: pip install "chiasm[llama-index]".

>>> from chiasm.rag import Index, llama_index  # doctest: +SKIP
>>> retriever = llama_index.IndexRetriever(Index("my.lance"))  # doctest: +SKIP
>>> retriever.retrieve("What does the invoice say?")[0].metadata["path"]  # doctest: +SKIP
"""

from __future__ import annotations

import asyncio
from typing import Any, TypeVar

from chiasm._embedder import Embedder
from chiasm._extras import missing
from chiasm._model import Model
from chiasm._stream import Stream
from chiasm._structured import closed
from chiasm.errors import RequestError
from chiasm.rag._index import Index
from chiasm.rag._retriever import Retriever

try:
    from llama_index.core.base.llms.types import (
        AudioBlock,
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
    from pydantic import BaseModel, Field, PrivateAttr
except ImportError as e:
    raise missing("chiasm.rag.llama_index", e, "llama-index") from e

_Form = TypeVar("_Form", bound=BaseModel)


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
    """A model that answers chats, with pictures where it sees and sounds where it hears, and
    continues prompts. `structured_predict` and `as_structured_llm` hold an answer to the form of a
    pydantic class, with every model."""

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
                yield ChatResponse(message=_said(text), delta="", raw=_raw(stream))

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
                yield CompletionResponse(text=text, delta="", raw=_raw(stream))

        return pieces()

    async def achat(self, messages: Any, **kwargs: Any) -> ChatResponse:
        return await asyncio.to_thread(self.chat, messages, **kwargs)

    async def acomplete(
        self, prompt: str, formatted: bool = False, **kwargs: Any
    ) -> CompletionResponse:
        return await asyncio.to_thread(self.complete, prompt, formatted, **kwargs)

    def structured_predict(
        self,
        output_cls: type[_Form],
        prompt: Any,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> _Form:
        """An answer of the form that `output_cls` has.

        Raises:
            pydantic.ValidationError: `max_tokens` cut it off, or it breaks a rule that is no part of
                the class's JSON schema.
        """
        messages = self._get_messages(prompt, **prompt_args)
        form = {"json_schema": closed(output_cls.model_json_schema())}
        response = self.chat(messages, **(llm_kwargs or {}) | form)
        return output_cls.model_validate_json(response.message.content or "")

    async def astructured_predict(
        self,
        output_cls: type[_Form],
        prompt: Any,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> _Form:
        return await asyncio.to_thread(
            lambda: self.structured_predict(output_cls, prompt, llm_kwargs, **prompt_args)
        )


def _row(vector: Any) -> list[float]:
    row: list[float] = vector.tolist()
    return row


def _said(text: str) -> ChatMessage:
    return ChatMessage(role=MessageRole.ASSISTANT, content=text)


def _raw(stream: Stream) -> dict[str, Any] | None:
    """What a stream's answer is besides its words."""
    return None if stream.result is None else stream.result.as_dict()


def _prompt(prompt: str, formatted: bool) -> Any:
    return prompt if formatted else [{"role": "user", "content": prompt}]


def _messages(messages: Any) -> list[dict[str, Any]]:
    return [
        {"role": str(message.role.value), "content": [_item(block) for block in message.blocks]}
        for message in messages
    ]


def _item(block: Any) -> dict[str, Any]:
    if isinstance(block, TextBlock):
        return {"type": "text", "text": block.text}
    # What stands behind a URL is not resolved: the blocks would fetch it.
    if isinstance(block, ImageBlock):
        picture = str(block.url) if block.url else block.resolve_image().read()
        return {"type": "image", "image": picture}
    if isinstance(block, AudioBlock):
        sound = str(block.url) if block.url else block.resolve_audio().read()
        return {"type": "audio", "audio": sound}
    raise RequestError(f"a {type(block).__name__}: expected words, a picture or a sound")
