"""Draft models from Python and the command line: the same answers, guessed ahead."""

import pytest
from conftest import MODELS
from test_cli import MODEL, WIDE, run

import chiasm
from chiasm import _hub

ASKED = {"max_tokens": 41, "ignore_eos": True}
WORDS = [{"role": "user", "content": "What is a dog?"}]


@pytest.fixture(scope="module")
def mini():
    return chiasm.load(), chiasm.load(draft=_hub.bundled_model())


@pytest.mark.parametrize("settings", [{}, {"temperature": 0.8, "seed": 3}, {"stop": ["a"]}])
def test_the_bundled_model_is_always_right_about_itself(mini, settings):
    plain, drafted = (model.generate(WORDS, **ASKED, **settings) for model in mini)
    assert drafted.token_ids == plain.token_ids and drafted.text == plain.text
    if not settings.get("stop"):  # an answer that ends early leaves guesses behind
        assert (drafted.usage.guessed_tokens, drafted.usage.rejected_tokens) == (32, 0)
    assert plain.usage.guessed_tokens == 0


def test_pictures_are_not_shown_to_the_draft(mini, picture):
    plain, drafted = (model.answers([picture], "What is it?", **ASKED)[0] for model in mini)
    assert drafted.token_ids == plain.token_ids
    assert drafted.usage.guessed_tokens + drafted.usage.rejected_tokens > 0


def test_a_stranger_is_often_wrong(text_model):
    model = chiasm.load(
        MODELS / "llama_gqa", dtype="float32", draft=MODELS / "llama_suppress", draft_tokens=6
    )
    assert model.info.draft.endswith("llama_suppress") and text_model.info.draft == ""
    plain = text_model.generate("A picture of", **ASKED)
    drafted = model.generate("A picture of", **ASKED)
    assert drafted.token_ids == plain.token_ids
    assert drafted.usage.rejected_tokens > 50
    none = model.generate("A picture of", draft_tokens=0, **ASKED)
    assert none.token_ids == plain.token_ids and none.usage.rejected_tokens == 0
    pieces = model.stream("A picture of", draft_tokens=2, **ASKED)
    assert "".join(pieces) == plain.text
    assert model.plan("A picture of").draft_bytes > 0 == text_model.plan("A picture of").draft_bytes


def test_errors():
    with pytest.raises(chiasm.RequestError, match="needs the same vocabulary"):
        chiasm.load(MODELS / "llama_gqa", draft=MODELS / "llama31_new")
    with pytest.raises(chiasm.RequestError, match="draft_tokens is 0"):
        chiasm.load(MODELS / "llama_gqa", draft=MODELS / "llama_gqa", draft_tokens=0)
    with pytest.raises(chiasm.ModelError):
        chiasm.load(MODELS / "llama_gqa", draft=MODELS / "nowhere")


def test_the_command_line():
    asked = ("ask", WIDE, "Why?", "--model", MODEL, "--max-tokens", "9")
    words = run(*asked).stdout
    assert run(*asked, "--draft", MODEL).stdout == words
    assert "nowhere" in run(*asked, "--draft", "./nowhere", code=1).stderr
