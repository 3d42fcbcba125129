"""`chiasm bench`: what it tells, never how fast."""

import json
import pathlib
import subprocess
import sys

import pytest
from conftest import MODELS, PICTURES

from chiasm import _chiasm

MODEL = str(MODELS / "smolvlm_2x2")
TEXT_MODEL = str(MODELS / "llama_gqa")
COMMAND = pathlib.Path(sys.executable).parent / "chiasm"
QUICK = ("--repeat", "1", "--lengths", "16,9000", "--depths", "1,40")


def run(*arguments, code=0):
    done = subprocess.run(
        [COMMAND, "bench", *arguments], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == code, done.stderr
    return done.stdout if code == 0 else done.stderr


def test_limits_of_this_machine():
    limits = _chiasm.machine_limits(1)
    assert {"float32", "read"} <= set(limits) <= {"float32", "bfloat16", "int8", "read"}
    assert all(value > 1e8 for value in limits.values())


def test_every_figure_of_a_model_that_sees():
    (result,) = json.loads(
        run(MODEL, "--json", *QUICK, "--pictures", "1,2", "--parallel", "1,3", "--operators")
    )
    rows = {row["name"]: row for row in result["rows"]}
    assert list(rows) == [
        "load",
        "preprocess a picture",
        "encode a tile",
        f"encode a picture, {tiles(rows)} tiles",
        "prefill 16 tokens",
        "decode after 1 tokens",
        "decode after 40 tokens",
        "a caption of 64 tokens",
        "1 picture to a first token",
        "2 pictures to a first token",
        "decode 1 side by side",
        "decode 3 side by side",
    ], "9000 tokens are over the context, and left out"
    for row in rows.values():
        assert row["seconds"] > 0 and row["rate"] > 0 and row["resident_bytes"] > 0
    for name in ("encode a tile", "prefill 16 tokens", "decode after 1 tokens"):
        assert rows[name]["share"] > 0 and rows[name]["limit"] in result["limits"]
    assert result["peak_bytes"] > 0 and result["planned_bytes"] > 0
    stages = {row["stage"] for row in result["operators"]}
    assert stages == {"preprocess", "encode", "prefill", "decode"}
    for stage in stages:
        shares = [row["share"] for row in result["operators"] if row["stage"] == stage]
        assert sum(shares) == pytest.approx(1)
    named = {row["operator"].split()[0] for row in result["operators"]}
    assert {"linear", "attention", "layer_norm", "rms_norm", "sample"} <= named


def tiles(rows):
    return next(n.split()[-2] for n in rows if n.startswith("encode a picture"))


def test_a_text_model_has_no_pictures():
    (result,) = json.loads(run(TEXT_MODEL, "--json", *QUICK, "--quantize", "int8"))
    names = [row["name"] for row in result["rows"]]
    assert "an answer of 64 tokens" in names and not any("picture" in name for name in names)
    assert result["quantize"] == "int8" and result["operators"] == []


def test_tables_for_people():
    text = run(TEXT_MODEL, *QUICK, "--threads", "1,2", "--operators")
    for words in ("limits of this machine", "of the limit", "planned", "speed-up over 1 threads"):
        assert words in text
    assert "linear" in text and "the rest" in text


def test_a_picture_of_ones_own():
    text = run(MODEL, "--picture", PICTURES / "wide.png", *QUICK)
    assert "encode a picture" in text
    assert "/no/such.png" in run(MODEL, "--picture", "/no/such.png", code=1)


@pytest.mark.parametrize("option", ["--threads", "--lengths", "--pictures", "--parallel"])
@pytest.mark.parametrize("value", ["0", "x", "1,,2", "-1"])
def test_wrong_lists(option, value):
    assert f"{option} {value}: " in run(MODEL, f"{option}={value}", code=1)


def test_times_are_collected_only_on_request():
    model = _chiasm.Model.load(TEXT_MODEL)
    request = _chiasm.Request([("hello", True)])
    model.generate(request)
    assert model.operator_times() == []
    model.profile(True)
    model.generate(request)
    assert {"linear", "rms_norm", ""} <= {t.name for t in model.operator_times()}
    model.profile(False)
    assert model.operator_times() == []
