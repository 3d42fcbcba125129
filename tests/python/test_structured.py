"""Answers of a given form, and settings that shape what is drawn."""

import json
import re

import pytest

import chiasm
from chiasm._structured import closed
from chiasm import RequestError

pytest.importorskip("llguidance")

SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 8},
        "age": {"type": "integer", "minimum": 0, "maximum": 99},
        "colour": {"enum": ["red", "green"]},
    },
    "required": ["name", "age", "colour"],
    "additionalProperties": False,
}
HOT = {"temperature": 1.8, "max_tokens": 120}


@pytest.mark.parametrize("seed", range(6))
def test_json_keeps_to_its_schema(text_model, seed):
    out = text_model.generate("Say", json_schema=SCHEMA, seed=seed, **HOT)
    assert out.finish_reason == "stop"
    said = json.loads(out.text)
    assert set(said) == {"name", "age", "colour"} and said["colour"] in ("red", "green")
    assert isinstance(said["age"], int) and 0 <= said["age"] <= 99 and len(said["name"]) <= 8


def test_a_regular_expression_and_choices(text_model):
    for seed in range(6):
        out = text_model.generate("Say", regex="[0-9]{3}-[a-c]{2}", seed=seed, **HOT)
        assert re.fullmatch("[0-9]{3}-[a-c]{2}", out.text) and out.finish_reason == "stop"
        out = text_model.generate("Say", choices=["yes", "no", 'may "be"'], seed=seed, **HOT)
        assert out.text in ("yes", "no", 'may "be"')


def test_forms_go_together_with_streams_and_batches(text_model):
    settings = {"json_schema": SCHEMA, "seed": 3, **HOT}
    want = text_model.generate("Say", **settings)
    assert "".join(text_model.stream("Say", **settings)) == want.text
    many = text_model.generate_all(["Say", "Tell", "Say"], **settings)
    assert many[0].token_ids == many[2].token_ids == want.token_ids
    plain = text_model.generate("Say", seed=3, **HOT)
    assert plain.token_ids != want.token_ids


BAD = [
    {"json_schema": "no JSON"},
    {"json_schema": {"type": "nonsense"}},
    {"json_schema": [1]},
    {"json_schema": json.loads('{"a":' * 200 + "1" + "}" * 200)},
    {"json_schema": {"a": "x" * 100_000}},
    {"regex": "((("},
    {"regex": 3},
    {"choices": []},
    {"choices": "yes"},
    {"choices": [""]},
    {"choices": ["a"], "regex": "b"},
]


@pytest.mark.parametrize("form", BAD)
def test_bad_forms_are_refused(text_model, form):
    with pytest.raises(RequestError):
        text_model.generate("Say", **form)
    assert text_model.generate("Say", max_tokens=2).token_ids


def test_a_mask_that_fails_fails_its_request_alone(text_model):
    from chiasm._options import generate_options

    def broken():
        raise ValueError("it broke")

    def request(constraint=None):
        options = generate_options(max_tokens=6, constraint=constraint)
        return text_model._request("Say", None, options)

    want = text_model._native.generate(request()).token_ids
    for constraint in (broken, lambda: lambda tokens: broken(), lambda: lambda tokens: 3):
        with pytest.raises(RequestError, match="constraint fails"):
            text_model._native.generate(request(constraint))
    nothing = request(lambda: lambda tokens: b"")
    with pytest.raises(RequestError, match="no token may follow the 0"):
        text_model._native.generate(nothing)
    assert text_model._native.generate(request()).token_ids == want


def test_a_bias_rules(text_model):
    free = text_model.generate("Say", max_tokens=8).token_ids
    out = text_model.generate("Say", max_tokens=8, logit_bias={free[0]: -1000.0})
    assert free[0] not in out.token_ids
    out = text_model.generate("Say", max_tokens=8, logit_bias={77: 1000})
    assert out.token_ids == [77] * 8
    for bad in ({-1: 1}, {10**6: 1}, {5: float("nan")}, [3], {"5": 1}):
        with pytest.raises(RequestError, match="logit_bias"):
            text_model.generate("Say", logit_bias=bad)


def test_penalties_count_the_answers_tokens(text_model):
    bias = {77: 3000.0, 78: 2000.0, 79: 1000.0}
    settings = {"max_tokens": 5, "logit_bias": bias}
    presence = text_model.generate("Say", presence_penalty=1500, **settings)
    assert presence.token_ids == [77, 78, 77, 77, 77]
    frequency = text_model.generate("Say", frequency_penalty=1500, **settings)
    assert frequency.token_ids == [77, 78, 77, 79, 78]
    with pytest.raises(RequestError, match="presence_penalty"):
        text_model.generate("Say", presence_penalty=float("inf"))


def test_several_answers_to_one_prompt(text_model, model, picture):
    for each, prompt, images in ((text_model, "Say", None), (model, "<image>what", [picture])):
        settings = {"temperature": 1.2, "max_tokens": 10}
        got = each.choices(prompt, 4, images=images, seed=9, **settings)
        alone = [each.generate(prompt, images=images, seed=9 + i, **settings) for i in range(4)]
        assert [r.token_ids for r in got] == [r.token_ids for r in alone]
        assert {r.usage.prompt_tokens for r in got} == {alone[0].usage.prompt_tokens}
    with pytest.raises(RequestError, match="n is 0"):
        text_model.choices("Say", 0)
    with pytest.raises(RequestError, match="KV cache"):
        text_model.choices("Say", 1000)
    forms = text_model.choices("Say", 3, seed=1, regex="[a-f]{5}", **HOT)
    assert all(re.fullmatch("[a-f]{5}", r.text) for r in forms)


def test_a_picture_that_comes_again_is_not_encoded_again(picture):
    from conftest import MODELS

    model = chiasm.load(MODELS / "smolvlm_2x2", dtype="float32")
    first = model.generate("<image>what", images=[picture], max_tokens=6)
    before = model._native.stats()
    again = model.generate("Well, <image> what", images=[picture], max_tokens=6)
    after = model._native.stats()
    assert after.encoder_hits == before.encoder_hits + 1
    assert after.encoder_misses == before.encoder_misses == 1
    assert again.timings.encode == 0 and first.timings.encode > 0
    fresh = chiasm.load(MODELS / "smolvlm_2x2", dtype="float32")
    want = fresh.generate("Well, <image> what", images=[picture], max_tokens=6)
    assert again.token_ids == want.token_ids


def test_closed_schemas_leave_nothing_to_be_invented():
    inner = {"type": "object", "properties": {"properties": {"type": "string"}}}
    schema = {
        "type": "object",
        "properties": {
            "a": {"anyOf": [{"$ref": "#/$defs/A"}, {"type": "null"}]},
            "b": {"type": "array", "items": inner},
        },
        "$defs": {"A": {"properties": {"e": True}, "additionalProperties": {"type": "integer"}}},
    }
    kept = json.loads(json.dumps(schema))
    out = closed(schema)
    assert schema == kept, "the caller's stays as it is"
    assert out["additionalProperties"] is False and out["$defs"] == schema["$defs"]
    assert out["properties"]["a"] == schema["properties"]["a"]
    assert out["properties"]["b"]["items"] == inner | {"additionalProperties": False}
    for parts in ({"allOf": [inner]}, {"anyOf": [inner], "properties": {"f": True}}):
        assert closed({"items": [parts]}) == {"items": [parts]}
    assert closed(True) is True and closed({}) == {}
