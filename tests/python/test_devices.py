"""One model on several devices, emulated ones here: what `device=` takes, and what a server says."""

import ctypes
import json
import os
import pathlib
import threading
import urllib.error
import urllib.request

import openai
import pytest
from conftest import MODELS
from serving import serving

import chiasm
from chiasm.server import Models

ROOT = pathlib.Path(__file__).parents[2]
PLUGIN = os.environ.get(
    "CHIASM_EMULATED_PLUGIN",
    str(ROOT / "build/release/kernels/cuda/emulation/libchiasm_cuda_emulation.so"),
)
emulated = pytest.mark.skipif(
    not os.path.exists(PLUGIN), reason=f"the emulated device was not built: {PLUGIN}"
)
LLAMA = MODELS / "llama_gqa"
SETTINGS = {"dtype": "float32", "threads": 2, "batch_invariant": True}
WORDS = ["How many pictures?", "What is a dog?", "One two three", "A"]


@pytest.fixture
def plugin(monkeypatch):
    monkeypatch.setenv("CHIASM_CUDA_PLUGIN", PLUGIN)


@pytest.fixture
def lose():
    """Has emulated devices fail until the test ends."""
    fail = ctypes.CDLL(PLUGIN).chiasm_emulation_fail
    fail.argtypes = [ctypes.c_int, ctypes.c_char_p]
    fail.restype = None
    yield lambda device: fail(device, b"fell off the bus")
    for device in (0, 1):
        fail(device, None)


@pytest.mark.parametrize(
    "device, error, words",
    [
        ([], chiasm.RequestError, "empty list"),
        (7, chiasm.RequestError, "expected a str or several"),
        (["cuda:0", 1], chiasm.RequestError, r"device\[1\]"),
        (["cuda:0", "cuda:0"], chiasm.RequestError, "cuda:0.*twice"),
        ("cuda,cuda:0", chiasm.RequestError, "cuda:0.*twice"),
        (["cpu", "cuda:0"], chiasm.RequestError, "devices of one kind"),
        (["auto", "cuda:0"], chiasm.RequestError, "auto.*alone"),
        (["cuda:0", "abacus"], chiasm.RequestError, "abacus"),
        (["cuda:0", "cuda:1"], chiasm.DeviceError, "cuda:0.*plug-in"),
    ],
)
def test_what_cannot_be_is_refused(monkeypatch, device, error, words):
    monkeypatch.setenv("CHIASM_CUDA_PLUGIN", "/no/such/plugin.so")
    with pytest.raises(error, match=words):
        chiasm.load(LLAMA, device=device)


def test_lists_of_one_are_words():
    model = chiasm.load(LLAMA, device=["cpu"])
    assert model.info.device == "cpu"
    assert model.devices == [] and model.plan("A", max_tokens=1).devices == []


@emulated
def test_answers_are_those_of_one_device(plugin):
    settings = {"max_tokens": 6, "temperature": 0.8, "seed": 5}
    one = chiasm.load(LLAMA, device="cuda:1", **SETTINGS)
    want = [one.generate(words, **settings).token_ids for words in WORDS]
    two = chiasm.load(LLAMA, device=["cuda:0", "cuda:1"], **SETTINGS)
    assert two.info.device == "emulated device, emulated device"
    got = [two.generate(words, **settings).token_ids for words in WORDS]
    assert got == want
    assert all(d.kv_pages_in_use > 0 for d in two.devices)
    assert [(d.device, d.failure) for d in two.devices] == [("cuda:0", ""), ("cuda:1", "")]
    with two.stream(WORDS[0], max_tokens=6) as pieces:
        assert "".join(pieces) == one.generate(WORDS[0], max_tokens=6).text


@emulated
def test_a_plan_tells_the_memory_of_each(plugin):
    plan = chiasm.load(LLAMA, device="cuda:all", **SETTINGS).plan("A dog", max_tokens=9)
    assert [d.device for d in plan.devices] == ["cuda:0", "cuda:1"]
    for d in plan.devices:
        assert d.memory_bytes == 1 << 30
        assert d.weight_bytes == plan.weight_bytes and d.kv_bytes > plan.kv_bytes
        assert d.peak_bytes == d.weight_bytes + d.kv_bytes + plan.activation_bytes
    assert plan.as_dict()["devices"][1]["device"] == "cuda:1"


def told(url: str) -> dict[str, float]:
    with urllib.request.urlopen(f"{url}/metrics") as response:
        lines = response.read().decode().splitlines()
    return {k: float(v) for k, v in (s.rsplit(" ", 1) for s in lines if s[0] != "#")}


@emulated
def test_a_server_spreads_requests_and_outlives_a_device(plugin, lose):
    model = chiasm.load(device="cuda:0,cuda:1", max_context=256, **SETTINGS)
    want = [chiasm_answer(model, words) for words in WORDS]
    with serving(Models(chat=model, chat_name="mini")) as running:
        client = openai.OpenAI(base_url=f"{running.url}/v1", api_key="none", max_retries=0)
        got: list[str | None] = [None] * len(WORDS)

        def ask(i: int) -> None:
            messages = [{"role": "user", "content": WORDS[i]}]
            answer = client.chat.completions.create(
                model="mini", messages=messages, max_tokens=4, temperature=0
            )
            got[i] = answer.choices[0].message.content

        threads = [threading.Thread(target=ask, args=(i,)) for i in range(len(WORDS))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert got == want
        values = told(running.url)
        assert values['chiasm_chat_device_usable{device="cuda:1"}'] == 1
        assert values['chiasm_chat_device_memory_bytes{device="cuda:0"}'] == 1 << 30

        # Of short prompts, each device is given every other one: the first that is sent to the
        # lost one tells of it, the rest go to the one that is left.
        lose(1)
        failures = []
        for i in range(len(WORDS)):
            try:
                ask(i)
            except openai.APIStatusError as e:
                failures.append(e.message)
        assert len(failures) == 1
        assert "cuda:1" in failures[0] and "fell off the bus" in failures[0]
        assert told(running.url)['chiasm_chat_device_usable{device="cuda:1"}'] == 0
        lose(0)
        with pytest.raises(openai.APIStatusError, match="fell off the bus"):
            ask(0)
        with pytest.raises(urllib.error.HTTPError) as error:
            urllib.request.urlopen(f"{running.url}/ready")
        assert json.load(error.value)["status"] == "lost"


def chiasm_answer(model: chiasm.Model, words: str) -> str:
    return model.generate([{"role": "user", "content": words}], max_tokens=4).text.strip()
