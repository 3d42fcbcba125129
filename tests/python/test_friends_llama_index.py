"""Chiasm as LlamaIndex's model: forms, sounds, what is not fetched. Retrievers and embeddings are in
test_rag_adapters.py."""

import asyncio
import json
from typing import Literal

import pytest
from conftest import MODELS
from friends import CAT, DOG, HERMES, SAID, SCENE, example

import chiasm

pytest.importorskip("llama_index.core", reason='pip install "chiasm[llama-index]"')
from llama_index.core.agent.workflow import FunctionAgent  # noqa: E402
from llama_index.core.base.llms.types import (  # noqa: E402
    AudioBlock,
    ChatMessage,
    ImageBlock,
    TextBlock,
)
from llama_index.core.prompts import PromptTemplate  # noqa: E402
from llama_index.core.tools import FunctionTool  # noqa: E402
from pydantic import BaseModel  # noqa: E402

from chiasm._templates import ChatTemplate  # noqa: E402
from chiasm.rag.llama_index import ChiasmLLM  # noqa: E402

# Its agents look at every attribute of a model, pydantic's deprecated ones too.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
QUESTION = "What is in this picture?"


class Seen(BaseModel):
    """What a picture shows."""

    kind: Literal["cat", "dog", "ship"]


@pytest.fixture(scope="module")
def model():
    return chiasm.load()


@pytest.fixture
def llm(model):
    return ChiasmLLM(model, max_tokens=24)


def test_forms(llm):
    message = ChatMessage(role="user", blocks=[ImageBlock(path=DOG), TextBlock(text=QUESTION)])
    response = llm.as_structured_llm(Seen).chat([message])
    assert isinstance(response.raw, Seen)
    assert json.loads(response.message.content) == {"kind": response.raw.kind}
    prompt = PromptTemplate("What is a {thing}?")
    told = llm.structured_predict(Seen, prompt, thing="pet")
    assert isinstance(told, Seen)
    assert asyncio.run(llm.astructured_predict(Seen, prompt, thing="pet")) == told


def test_the_end_of_a_stream_tells_usage(llm, model):
    message = ChatMessage(role="user", content="What is a dog?")
    want = model.generate([{"role": "user", "content": "What is a dog?"}], max_tokens=24)
    *_, last = llm.stream_chat([message])
    assert last.delta == "" and last.message.content == want.text
    assert last.raw["usage"]["completion_tokens"] == want.usage.completion_tokens
    assert asyncio.run(llm.achat([message])).message.content == want.text
    *_, last = llm.stream_complete("What is a dog?")
    assert last.text == want.text and last.raw["finish_reason"] == want.finish_reason
    assert asyncio.run(llm.acomplete("What is a dog?")).text == want.text


def test_sounds_are_heard(tmp_path):
    from spoken import as_wav, sound

    wave = tmp_path / "said.wav"
    wave.write_bytes(as_wav(sound(1.0, seed=3)))
    hears = chiasm.load(MODELS / "qwen2_audio_pooled", dtype="float32")
    items = [{"type": "audio", "audio": str(wave)}, {"type": "text", "text": "What?"}]
    want = hears.generate([{"role": "user", "content": items}], max_tokens=4).text
    message = ChatMessage(role="user", blocks=[AudioBlock(path=wave), TextBlock(text="What?")])
    assert ChiasmLLM(hears, max_tokens=4).chat([message]).message.content == want


def weather(city: Literal["Bern", "Rom"]) -> str:
    """Tell the weather."""
    return f"Sun in {city}"


def test_forced_calls(llm):
    tool = FunctionTool.from_defaults(weather)
    for how in ({"tool_required": True}, {"tool_choice": "weather"}):
        response = llm.chat_with_tools([tool], "Weather?", **how, max_tokens=64)
        (call,) = llm.get_tool_calls_from_response(response)
        assert call.tool_name == "weather" and call.tool_kwargs["city"] in ("Bern", "Rom")
        assert call.tool_id.startswith("call_") and not response.message.content
    *_, last = llm.stream_chat_with_tools([tool], "Weather?", tool_required=True, max_tokens=64)
    (again,) = llm.get_tool_calls_from_response(last)
    assert again.tool_kwargs == call.tool_kwargs and last.raw["finish_reason"] == "stop"
    assert not llm.metadata.is_function_calling_model, "it cannot be left to decide"
    with pytest.raises(chiasm.RequestError, match="knows no tools"):
        llm.chat_with_tools([tool], "Weather?")


def test_an_agent_and_calls_that_a_model_writes_on_its_own(llm, model, monkeypatch):
    monkeypatch.setattr(model, "_template", ChatTemplate(HERMES))
    assert llm.metadata.is_function_calling_model
    tool = FunctionTool.from_defaults(weather, return_direct=True)
    settings = {"choices": [SAID], "max_tokens": 100}
    response = llm.chat_with_tools([tool], "Weather?", **settings)
    assert response.message.content.strip() == "Let me see."
    (call,) = llm.get_tool_calls_from_response(response)
    assert call.tool_kwargs == {"city": "Bern"}
    history = [ChatMessage(role="user", content="Weather?"), response.message]
    told = {"tool_call_id": call.tool_id}
    history.append(ChatMessage(role="tool", content="Sun", additional_kwargs=told))
    shown = llm.chat(history).raw["usage"]["prompt_tokens"]
    assert shown > llm.chat(history[:1]).raw["usage"]["prompt_tokens"]

    llm = ChiasmLLM(model, **settings)
    for streaming in (False, True):
        agent = FunctionAgent(tools=[tool], llm=llm, streaming=streaming)

        async def run(agent=agent):
            return str(await agent.run("Weather?"))

        assert asyncio.run(run()) == "Sun in Bern"


def test_nothing_is_fetched(llm):
    block = ImageBlock(url="https://example.com/dog.jpg")
    with pytest.raises(chiasm.MediaError, match="nothing is fetched"):
        llm.chat([ChatMessage(role="user", blocks=[block])])


def test_the_example(model):
    out = example("llama_index_picture.py", DOG, SCENE, CAT)
    assert out["words"].strip() == model.ask(DOG, QUESTION, max_tokens=64)
    kind = json.loads(out["form"])["kind"]
    embedder = chiasm.load_embedder()
    fits = embedder.embed_image([DOG, SCENE, CAT]) @ embedder.embed_text(f"a photo of a {kind}")
    assert out["nearest"] == [DOG, SCENE, CAT][fits.argmax()]
