"""Calls of functions in what models say."""

import json

import pytest

from chiasm._tools import HERMES, LLAMA, MISTRAL, find_calls, may_begin, style_of

NAMES = ["weather", "add"]
SAID = [
    (HERMES, '<tool_call>\n{"name": "add", "arguments": {"a": 1}}\n</tool_call>', "", ["add"]),
    (
        HERMES,
        'Let me see.\n<tool_call>{"name": "add", "arguments": {}}</tool_call>\n'
        '<tool_call>{"name": "weather", "arguments": {"city": "Bern"}}</tool_call>',
        "Let me see.\n",
        ["add", "weather"],
    ),
    (HERMES, '<tool_call>{"name": "add", "arguments": "{\\"a\\": 1}"}', "", ["add"]),
    (LLAMA, '{"name": "weather", "parameters": {"city": "Bern"}}', "", ["weather"]),
    (
        LLAMA,
        '<|python_tag|>{"name": "add", "parameters": {}}; {"name": "add", "parameters": {}}',
        "",
        ["add", "add"],
    ),
    (MISTRAL, '[TOOL_CALLS] [{"name": "add", "arguments": {"a": 1}, "id": "x"}]', "", ["add"]),
    (
        MISTRAL,
        '[TOOL_CALLS]add[ARGS]{"a": 1}[TOOL_CALLS]weather[ARGS]{"city": "Bern"}',
        "",
        ["add", "weather"],
    ),
]


@pytest.mark.parametrize("style, text, words, names", SAID)
def test_calls_are_found(style, text, words, names):
    left, calls = find_calls(style, text, NAMES)
    assert left == words and [call.name for call in calls] == names
    assert all(isinstance(json.loads(call.arguments), dict) for call in calls)


NO_CALLS = [
    "",
    "plain words",
    "{",
    "{}",
    '{"name": 3, "parameters": {}}',
    '{"name": "unknown", "parameters": {}}',
    '<tool_call>{"name": "add", "arguments": {"a": </tool_call>',
    "<tool_call>",
    '<tool_call>{"name": "add"} and more</tool_call>',
    "[TOOL_CALLS]",
    "[TOOL_CALLS] [1]",
    "[TOOL_CALLS]add[ARGS]",
    '{"name": "add", "parameters": {}} is what I would say',
    "[" * 100_000,
]


@pytest.mark.parametrize("text", NO_CALLS)
@pytest.mark.parametrize("style", [HERMES, LLAMA, MISTRAL])
def test_what_is_no_whole_call_stays_words(style, text):
    assert find_calls(style, text, NAMES) == (text, [])


def test_a_stream_shows_no_part_of_a_call():
    for style, text, words, _ in SAID:
        shown = [text[: may_begin(style, text[:n])] for n in range(len(text) + 1)]
        assert all(words.startswith(part) for part in shown if style != MISTRAL or "[A" not in text)
    assert may_begin(HERMES, "a < b") == 5 and may_begin(HERMES, "a <tool") == 2
    assert may_begin(LLAMA, "plain") == 5 and may_begin(MISTRAL, "plain") == 5


def test_styles_of_templates():
    assert style_of("... <tool_call> ...") == HERMES
    assert style_of("... [TOOL_CALLS] ...") == MISTRAL
    assert style_of('... "parameters": ...') == LLAMA
    assert style_of("{{ messages }}") is None
