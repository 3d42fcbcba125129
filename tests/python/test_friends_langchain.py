"""Chiasm as LangChain's chat model: tools, forms, streams. Retrievers and embeddings are in
test_rag_adapters.py."""

import asyncio
import base64
import json
import pathlib
from typing import Literal

import pytest
from friends import DOG, HERMES, SAID, example

import chiasm

pytest.importorskip("langchain_core", reason='pip install "chiasm[langchain]"')
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage  # noqa: E402
from langchain_core.tools import tool  # noqa: E402
from pydantic import BaseModel  # noqa: E402

from chiasm._templates import ChatTemplate  # noqa: E402
from chiasm.rag.langchain import ChatChiasm  # noqa: E402

QUESTION = "What is in this picture?"


class Seen(BaseModel):
    """What a picture shows."""

    kind: Literal["cat", "dog", "ship"]


@tool
def weather(city: Literal["Bern", "Rom"]) -> str:
    """Tell the weather."""
    return f"Sun in {city}"


@pytest.fixture(scope="module")
def model():
    return chiasm.load()


@pytest.fixture
def chat(model):
    return ChatChiasm(model=model, settings={"max_tokens": 64})


def seen(**item) -> list[HumanMessage]:
    return [HumanMessage([item, {"type": "text", "text": QUESTION}])]


def test_every_way_to_show_a_picture(chat, model):
    data = base64.b64encode(pathlib.Path(DOG).read_bytes()).decode()
    want = model.ask(DOG, QUESTION, max_tokens=64)
    items = [
        {"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{data}"}},
        {"type": "image_url", "image_url": DOG},
        {"type": "image", "base64": data, "mime_type": "image/jpeg"},
        {"type": "image", "source_type": "base64", "data": data, "mime_type": "image/jpeg"},
        {"type": "image", "url": f"data:image/jpeg;base64,{data}"},
        {"type": "image", "path": DOG},
    ]
    for item in items:
        assert chat.invoke(seen(**item)).content.strip() == want, item.keys()
    with pytest.raises(chiasm.MediaError, match="nothing is fetched"):
        chat.invoke(seen(type="image", url="https://example.com/dog.jpg"))


def test_a_stream_ends_with_usage_and_reason(chat):
    messages = [SystemMessage("Be short."), HumanMessage("What is a dog?"), AIMessage("A pet.")]
    messages.append(HumanMessage("And a ship?"))
    whole = chat.invoke(messages)
    pieces = list(chat.stream(messages))
    joined = pieces[0]
    for piece in pieces[1:]:
        joined += piece
    assert joined.content == whole.content and len(pieces) > 2
    assert joined.usage_metadata["output_tokens"] == whole.usage_metadata["output_tokens"]
    assert joined.response_metadata == whole.response_metadata
    assert whole.response_metadata["finish_reason"] in ("stop", "length")

    traced = chat._get_ls_params(temperature=0.5)
    assert traced["ls_model_name"].endswith("chiasm-mini") and traced["ls_provider"] == "chiasm"
    assert traced["ls_max_tokens"] == 64 and traced["ls_temperature"] == 0.5

    async def told():
        return "".join([piece.content async for piece in chat.astream(messages)])

    assert asyncio.run(told()) == whole.content
    assert chat.invoke(messages, stop=[whole.content[3:6]]).content == whole.content[:3]


def test_forced_calls_and_forms(chat):
    for choice in ("any", "required", True, "weather"):
        asked = chat.bind_tools([weather], tool_choice=choice).invoke("Weather?")
        (call,) = asked.tool_calls
        assert call["name"] == "weather" and isinstance(call["args"]["city"], str) and call["id"]
        assert asked.response_metadata["finish_reason"] == "tool_calls" and asked.content == ""
        assert weather.invoke(call).content == f"Sun in {call['args']['city']}"
    chunks = list(chat.bind_tools([weather], tool_choice="any").stream("Weather?"))
    (again,) = [call for chunk in chunks for call in chunk.tool_calls]
    assert again["args"] == call["args"] and not any(chunk.content for chunk in chunks)
    form = chat.with_structured_output(Seen)
    assert form.invoke(seen(type="image_url", image_url=DOG)).kind in ("cat", "dog", "ship")
    named = chat.with_structured_output(Seen.model_json_schema() | {"description": "x"})
    assert named.invoke("A dog")["kind"] in ("cat", "dog", "ship")
    with pytest.raises(chiasm.RequestError, match="knows no tools"):
        chat.bind_tools([weather]).invoke("Weather?")
    with pytest.raises(chiasm.RequestError, match="no tool 'clock'"):
        chat.bind_tools([weather], tool_choice="clock").invoke("Weather?")
    plain = chat.invoke("Weather?").content
    assert chat.bind_tools([weather], tool_choice="none").invoke("Weather?").content == plain


def test_calls_that_a_model_writes_on_its_own(chat, model, monkeypatch):
    """The model is held to what one trained for it would say."""
    monkeypatch.setattr(model, "_template", ChatTemplate(HERMES))
    bound = chat.bind_tools([weather]).bind(choices=[SAID], max_tokens=100)
    asked = bound.invoke("Weather?")
    assert asked.content.strip() == "Let me see."
    assert asked.tool_calls[0]["args"] == {"city": "Bern"}
    joined = None
    for chunk in bound.stream("Weather?"):
        joined = chunk if joined is None else joined + chunk
    assert joined.content.strip() == "Let me see." and joined.tool_calls[0]["name"] == "weather"
    history = [HumanMessage("Weather?"), asked, ToolMessage("Sun", tool_call_id="1")]
    shown = chat.invoke(history).usage_metadata["input_tokens"]
    assert shown > chat.invoke(history[:1]).usage_metadata["input_tokens"]


def test_the_example(model):
    out = example("langchain_picture.py", DOG)
    assert out["words"].strip() == model.ask(DOG, QUESTION, max_tokens=64)
    assert json.loads(out["form"])["kind"] in out["form"]
