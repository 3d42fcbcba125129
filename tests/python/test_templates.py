"""Chat templates render what transformers renders (golden values by transformers 5.23)."""

import json
import pathlib

import pytest

from chiasm._messages import fit_template, read_messages
from chiasm._templates import ChatTemplate
from chiasm.errors import ModelError, RequestError

GOLDEN = pathlib.Path(__file__).parents[1] / "golden" / "templates" / "cases.json"
CASES = json.loads(GOLDEN.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", CASES["templates"])
def test_renders_as_transformers_does(name):
    template = ChatTemplate(CASES["templates"][name], CASES["tokens"])
    seen = 0
    for case in (c for c in CASES["rendered"] if c["template"] == name):
        messages, _ = read_messages(CASES["conversations"][case["conversation"]], complete=False)
        where = f"{name}, {case['conversation']}"
        if "error" in case:
            with pytest.raises(RequestError, match="chat template"):
                template.render(messages, add_generation_prompt=case["add_generation_prompt"])
        else:
            text = template.render(messages, add_generation_prompt=case["add_generation_prompt"])
            assert text == case["text"], where
        seen += 1
    assert seen == 2 * len(CASES["conversations"])


def rendered(source: str, *messages, **settings) -> str:
    return ChatTemplate(source).render(list(messages), **settings)


def test_the_date_comes_from_the_clock():
    import datetime

    year = rendered("{{ strftime_now('%Y') }}", {"role": "user", "content": ""})
    assert abs(int(year) - datetime.datetime.now().year) <= 1


@pytest.mark.parametrize(
    "source",
    [
        "{{ messages.__class__.__mro__ }}",
        "{{ ''.__class__.__base__.__subclasses__() }}",
        "{{ messages.append(1) }}",
        "{% set ns = namespace(__class__=1) %}",
        "{% set ns = namespace(a=1) %}{% set ns._b = 2 %}",
        "{{ raise_exception.__globals__ }}",
        "{{ '{0.__class__}'.format(messages) }}",
        "{{ range(10 ** 9) | list }}",
    ],
)
def test_templates_cannot_leave_the_sandbox(source):
    try:
        text = rendered(source, {"role": "user", "content": "x"})
    except (ModelError, RequestError):
        return
    assert "class" not in text and "object" not in text


def test_a_broken_template_is_a_model_error():
    with pytest.raises(ModelError, match="not valid Jinja"):
        rendered("{% for %}")


def test_a_template_that_refuses_is_a_request_error():
    with pytest.raises(RequestError, match="refuses the messages: no tools here"):
        rendered("{{ raise_exception('no tools here') }}")


def write(folder: pathlib.Path, name: str, data) -> None:
    text = data if isinstance(data, str) else json.dumps(data)
    (folder / name).write_text(text, encoding="utf-8")


def test_where_templates_come_from(tmp_path):
    assert ChatTemplate.load(tmp_path) is None
    write(tmp_path, "tokenizer_config.json", {"chat_template": "tokenizer", "bos_token": "<s>"})
    assert ChatTemplate.load(tmp_path).source == "tokenizer"
    named = [{"name": "rag", "template": "no"}, {"name": "default", "template": "named"}]
    write(
        tmp_path,
        "tokenizer_config.json",
        {"chat_template": named, "eos_token": {"content": "</s>"}},
    )
    template = ChatTemplate.load(tmp_path)
    assert template.source == "named" and template.tokens == {"eos_token": "</s>"}
    write(tmp_path, "chat_template.jinja", "jinja\n")
    assert ChatTemplate.load(tmp_path).source == "jinja\n"
    write(tmp_path, "chat_template.json", {"chat_template": "json"})
    assert ChatTemplate.load(tmp_path).source == "json"
    write(tmp_path, "processor_config.json", {"chat_template": "processor"})
    assert ChatTemplate.load(tmp_path).source == "processor"


@pytest.mark.parametrize("text", ["{", "[1]", '{"chat_template": 5}', '{"chat_template": []}'])
def test_a_damaged_file_is_a_model_error(tmp_path, text):
    write(tmp_path, "tokenizer_config.json", text)
    with pytest.raises(ModelError, match="tokenizer_config.json"):
        ChatTemplate.load(tmp_path)


def fitted(name: str, messages) -> list:
    template = ChatTemplate(CASES["templates"][name], CASES["tokens"])
    return fit_template(read_messages(messages, complete=False)[0], template)


def test_contents_take_the_shape_that_a_template_shows():
    plain = [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}]
    listed = [{**m, "content": [{"type": "text", "text": m["content"]}]} for m in plain]
    assert fitted("smolvlm", plain) == listed == fitted("smolvlm", listed)
    assert fitted("chatml", plain) == plain == fitted("chatml", listed)
    assert fitted("llama3", listed) == plain
    assert fitted("reasoning", plain) == plain and fitted("reasoning", listed) == listed


def test_pictures_are_taken_in_order():
    item = {"type": "image_url", "image_url": {"url": "a.png"}}
    messages = [
        {"role": "user", "content": [item, {"type": "image"}, {"type": "text", "text": "x"}]},
        {"role": "user", "content": [{"type": "image", "image": b"bytes"}, {"type": "image"}]},
    ]
    data, media = read_messages(messages, ["1", "2"])
    assert media.images == ["a.png", "1", b"bytes", "2"]
    assert data[0]["content"] == [{"type": "image"}] * 2 + [{"type": "text", "text": "x"}]
    assert messages[0]["content"][0] is item, "the caller's messages stay as they are"


def test_pictures_without_a_place_go_first():
    data, media = read_messages([{"role": "user", "content": "what?"}], ["1", "2"], ["s"])
    assert media.images == ["1", "2"] and media.sounds == ["s"]
    items = [{"type": "image"}] * 2 + [{"type": "audio"}]
    assert data[0]["content"] == [*items, {"type": "text", "text": "what?"}]


def test_sounds_in_messages():
    content = [
        {"type": "audio", "audio": "a.wav"},
        {"type": "text", "text": "x"},
        {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
        {"type": "audio"},
        {"type": "audio_url", "audio_url": {"url": "b.mp3"}},
    ]
    data, media = read_messages([{"role": "user", "content": content}], audio=["given"])
    assert media.sounds == ["a.wav", b"RIFF", "given", "b.mp3"] and media.images == []
    assert [item["type"] for item in data[0]["content"]] == ["audio", "text"] + ["audio"] * 3
    with pytest.raises(RequestError, match="1 audio item.*audio holds 0"):
        read_messages([{"role": "user", "content": [{"type": "audio"}]}])


@pytest.mark.parametrize(
    ("messages", "images", "match"),
    [
        ([], None, "empty"),
        ({"role": "user", "content": "x"}, None, "expected a list"),
        ([5], None, r"messages\[0\]: expected"),
        ([{"content": "x"}], None, "role is None"),
        ([{"role": "<|im_end|>", "content": "x"}], None, "role is"),
        ([{"role": "user", "content": 5}], None, "expected a str or a list"),
        ([{"role": "user", "content": ["x"]}], None, "expected an item"),
        ([{"role": "user", "content": [{"type": "text"}]}], None, "text is of type NoneType"),
        ([{"role": "user", "content": [{"type": "sculpture"}]}], None, "type is 'sculpture'"),
        ([{"role": "user", "content": [{"type": "input_audio"}]}], None, "holds no sound"),
        ([{"role": "user", "content": [{"type": "video"}]}], None, "1 video item"),
        ([{"role": "user", "content": [{"type": "image"}]}], None, "1 image item"),
        ([{"role": "user", "content": [{"type": "image"}]}], ["a", "b"], "images holds 2"),
        ([{"role": "user", "content": [{"type": "image_url"}]}], None, "holds no picture"),
        ([{"role": "system", "content": "x"}], ["a"], "no user message"),
        ([{"role": "user", "content": "\ud800"}], None, "lone surrogate"),
        ([{"role": "user", "content": "x", "tool_calls": [object()]}], None, "no JSON data"),
        ([{"role": "user", "content": "x"}], "a.png", "expected a list of pictures"),
    ],
)
def test_bad_messages_are_refused(messages, images, match):
    with pytest.raises(RequestError, match=match):
        read_messages(messages, images)


def test_deep_messages_are_refused():
    value: list = []
    for _ in range(10_000):
        value = [value]
    with pytest.raises(RequestError, match="deep"):
        read_messages([{"role": "user", "content": "x", "extra": value}])
