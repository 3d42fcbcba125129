"""Beam search from Python, the command line and the server: transformers' answers (the C++ tests compare
more of them)."""

import json
import pathlib

import openai
import pytest
from conftest import GOLDEN, PICTURES
from serving import serving
from test_cli import MODEL, WIDE, run

import chiasm
from chiasm.server import Models

ROOT = pathlib.Path(__file__).parents[2]
ASKED = {"num_beams": 4, "max_tokens": 24}


@pytest.fixture(scope="module")
def mini():
    return chiasm.load(dtype="float32")


def test_the_best_answers_and_their_scores(mini):
    questions = json.loads((GOLDEN / "mini" / "golden.json").read_text(encoding="utf-8"))[
        "questions"
    ]
    known = [q for q in questions if q["beams"]["answers"]]
    assert known, "float64 ranks all of them otherwise"
    for question in known:
        want = question["beams"]["answers"]
        picture, words = ROOT / question["picture"], question["question"]
        best = mini.answers([picture], words, n=len(want), **ASKED)[0]
        assert [r.token_ids for r in [best, *best.others]] == [w["ids"] for w in want]
        for result, answer in zip([best, *best.others], want):
            assert result.score == pytest.approx(answer["score"], rel=2e-5, abs=2e-6)
        assert mini.ask(picture, words, **ASKED) == best.text.strip()


def test_choices_are_the_best(text_model):
    best = text_model.choices("A picture of", 3, length_penalty=0.0, early_stopping=True, **ASKED)
    assert len(best) == 3 and best[0].score >= best[1].score >= best[2].score
    assert best[0].as_dict()["score"] == best[0].score and best[0].others == []
    alone = text_model.generate(
        "A picture of", n=3, length_penalty=0.0, early_stopping=True, **ASKED
    )
    assert [r.text for r in alone.others] == [r.text for r in best[1:]]
    assert json.dumps(alone.as_dict())
    assert text_model.generate("A picture of", max_tokens=2).score is None


def test_a_batch_of_searches(model, picture):
    names = [picture, str(PICTURES / "tall.png")]
    both = model.answers(names, "What is it?", n=2, **ASKED)
    for name, result in zip(names, both):
        alone = model.answers([name], "What is it?", n=2, **ASKED)[0]
        assert (result.token_ids, result.score) == (alone.token_ids, alone.score)
        assert result.others[0].token_ids == alone.others[0].token_ids


def test_what_beams_do_not_go_with(text_model, model, picture):
    with pytest.raises(chiasm.RequestError, match="in pieces"):
        list(text_model.stream("a", **ASKED))
    with pytest.raises(chiasm.RequestError, match="`answers` gives the others"):
        model.caption(picture, n=2, **ASKED)


def test_a_plan_counts_beams(text_model):
    one, four = (text_model.plan("a b c", max_tokens=200, num_beams=n) for n in (1, 4))
    assert four.kv_bytes == 4 * one.kv_bytes  # the prompt fills no page that they could share


def test_the_command_line():
    words = chiasm.load(MODEL).caption(WIDE, max_tokens=8, num_beams=3)
    asked = ("--model", MODEL, "--max-tokens", "8", "--beams", "3")
    assert run("caption", WIDE, *asked).stdout == words + "\n"
    told = json.loads(run("ask", WIDE, "Describe this image.", *asked, "--json").stdout)
    assert told["text"].strip() == words and told["score"] < 0
    assert (
        "does not go together with sampling"
        in run("caption", WIDE, *asked, "--temperature", "1", code=1).stderr
    )


def test_the_server(mini):
    messages = [{"role": "user", "content": "What is a dog?"}]
    want = mini.choices(messages, 2, **ASKED)
    with serving(Models(mini, chat_name="mini")) as running:
        client = openai.OpenAI(base_url=f"{running.url}/v1", api_key="none", max_retries=0)
        ask = client.chat.completions.create
        got = ask(model="mini", messages=messages, max_tokens=24, n=2, extra_body={"num_beams": 4})
        assert [c.message.content for c in got.choices] == [r.text.strip() for r in want]
        for wrong in ({"stream": True}, {"n": 5}, {"temperature": 0.5}, {"logprobs": True}):
            with pytest.raises(openai.BadRequestError):
                ask(model="mini", messages=messages, extra_body={"num_beams": 4}, **wrong)
