"""Chiasm behind LlamaIndex's interfaces: pip install "chiasm[llama-index]".

>>> from chiasm.rag import Index, llama_index  # doctest: +SKIP
>>> retriever = llama_index.IndexRetriever(Index("my.lance"))  # doctest: +SKIP
>>> retriever.retrieve("What does the invoice say?")[0].metadata["path"]  # doctest: +SKIP
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any, TypeVar

from chiasm._calls import Reader, asked, knows_tools, new_id
from chiasm._embedder import Embedder
from chiasm._extras import missing
from chiasm._model import Model
from chiasm._stream import Stream
from chiasm._structured import closed
from chiasm._tools import Call
from chiasm.errors import RequestError
from chiasm.rag._index import Index
from chiasm.rag._retriever import Retriever

try:
    from llama_index.core.base.llms.types import (
        AudioBlock,
        ChatMessage,
        ChatResponse,
        ChatResponseAsyncGen,
        ChatResponseGen,
        CompletionResponse,
        CompletionResponseGen,
        ImageBlock,
        LLMMetadata,
        MessageRole,
        TextBlock,
        ToolCallBlock,
    )
    from llama_index.core.embeddings import MultiModalEmbedding
    from llama_index.core.llms import CustomLLM
    from llama_index.core.llms.callbacks import llm_chat_callback, llm_completion_callback
    from llama_index.core.llms.function_calling import FunctionCallingLLM
    from llama_index.core.llms.llm import ToolSelection
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


class ChiasmLLM(CustomLLM, FunctionCallingLLM):  # type: ignore[misc]
    """A model that answers chats, with pictures where it sees and sounds where it hears, and
    continues prompts.

    `structured_predict` and `as_structured_llm` hold an answer to the form of a pydantic class, with
    every model. `chat_with_tools` works with models whose chat templates know tools, and with
    `tool_required=True` or `tool_choice=NAME` with every model.
    """

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
            is_function_calling_model=knows_tools(self._model),
            model_name=self._model.info.path,
        )

    @llm_chat_callback()  # type: ignore[untyped-decorator]
    def chat(self, messages: Any, **kwargs: Any) -> ChatResponse:
        tools, settings = asked(self._model, {**self.settings, **kwargs})
        out = self._model.generate(_messages(messages), **settings)
        return ChatResponse(message=_said(*tools.read(out)), raw=out.as_dict())

    @llm_chat_callback()  # type: ignore[untyped-decorator]
    def stream_chat(self, messages: Any, **kwargs: Any) -> ChatResponseGen:
        """Words as they come; calls and usage with the last of them."""
        request = _messages(messages)
        tools, settings = asked(self._model, {**self.settings, **kwargs})

        def pieces() -> ChatResponseGen:
            text, reader = "", Reader(tools)
            with self._model.stream(request, **settings) as stream:
                for piece in stream:
                    if words := reader.push(piece):
                        text += words
                        yield ChatResponse(message=_said(text), delta=words)
                out = stream.result
            assert out is not None
            words, calls = reader.end(out)
            yield ChatResponse(message=_said(text + words, calls), delta=words, raw=out.as_dict())

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

    async def astream_chat(self, messages: Any, **kwargs: Any) -> ChatResponseAsyncGen:
        return _each(self.stream_chat(messages, **kwargs))

    async def acomplete(
        self, prompt: str, formatted: bool = False, **kwargs: Any
    ) -> CompletionResponse:
        return await asyncio.to_thread(self.complete, prompt, formatted, **kwargs)

    def _prepare_chat_with_tools(
        self,
        tools: Any,
        user_msg: Any = None,
        chat_history: Any = None,
        verbose: bool = False,
        allow_parallel_tool_calls: bool = False,
        tool_required: bool = False,
        tool_choice: Any = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        if isinstance(user_msg, str):
            user_msg = ChatMessage(role=MessageRole.USER, content=user_msg)
        return {
            "messages": [*(chat_history or []), *([user_msg] if user_msg else [])],
            "tools": [tool.metadata.to_openai_tool(skip_length_check=True) for tool in tools],
            "tool_choice": tool_choice or tool_required,
            **kwargs,
        }

    def get_tool_calls_from_response(
        self, response: ChatResponse, error_on_no_tool_call: bool = True, **kwargs: Any
    ) -> list[ToolSelection]:
        calls = [b for b in response.message.blocks if isinstance(b, ToolCallBlock)]
        if error_on_no_tool_call and not calls:
            raise ValueError("the answer calls no tool")
        return [
            ToolSelection(
                tool_id=call.tool_call_id, tool_name=call.tool_name, tool_kwargs=call.tool_kwargs
            )
            for call in calls
        ]

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


async def _each(pieces: ChatResponseGen) -> AsyncIterator[ChatResponse]:
    """The same, without holding up the loop while the model works."""
    while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
        yield piece


def _said(text: str, calls: list[Call] = []) -> ChatMessage:  # never written to
    blocks: list[Any] = [TextBlock(text=text)] if text or not calls else []
    blocks += [
        ToolCallBlock(
            tool_call_id=new_id(), tool_name=call.name, tool_kwargs=json.loads(call.arguments)
        )
        for call in calls
    ]
    return ChatMessage(role=MessageRole.ASSISTANT, blocks=blocks)


def _raw(stream: Stream) -> dict[str, Any] | None:
    """What a stream's answer is besides its words."""
    return None if stream.result is None else stream.result.as_dict()


def _prompt(prompt: str, formatted: bool) -> Any:
    return prompt if formatted else [{"role": "user", "content": prompt}]


def _messages(messages: Any) -> list[dict[str, Any]]:
    return [_message(message) for message in messages]


def _message(message: ChatMessage) -> dict[str, Any]:
    calls = [block for block in message.blocks if isinstance(block, ToolCallBlock)]
    items = [_item(block) for block in message.blocks if not isinstance(block, ToolCallBlock)]
    out: dict[str, Any] = {"role": str(message.role.value), "content": items or ""}
    if "tool_call_id" in message.additional_kwargs:
        out["tool_call_id"] = message.additional_kwargs["tool_call_id"]
    if calls:
        out["tool_calls"] = [
            {
                "type": "function",
                "id": call.tool_call_id,
                "function": {"name": call.tool_name, "arguments": call.tool_kwargs},
            }
            for call in calls
        ]
    return out


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
