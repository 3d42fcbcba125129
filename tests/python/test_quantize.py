"""`chiasm quantize` and `chiasm.quantize`: a folder that loads as a memory map."""

import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from conftest import MODELS, PICTURES

import chiasm

MODEL = MODELS / "smolvlm_2x2"
COMMAND = pathlib.Path(sys.executable).parent / "chiasm"


def run(*arguments, code=0, **settings):
    done = subprocess.run(
        [COMMAND, *map(str, arguments)], capture_output=True, text=True, timeout=60, **settings
    )
    assert done.returncode == code, done.stderr
    assert done.stderr.count("\n") == (1 if code else 0), done.stderr
    return done


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    return chiasm.quantize(MODEL, tmp_path_factory.mktemp("packed") / "model", to="int8")


def test_answers_are_those_of_the_original(packed):
    ours, original = chiasm.load(packed), chiasm.load(MODEL, quantize="int8")
    picture = str(PICTURES / "wide.png")
    assert np.array_equal(ours.encode_image(picture), original.encode_image(picture))
    messages = [{"role": "user", "content": [{"type": "image", "path": picture}]}]
    first = ours.generate(messages, max_tokens=12, logprobs=2)
    second = original.generate(messages, max_tokens=12, logprobs=2)
    assert first.token_ids == second.token_ids and first.logprobs == second.logprobs
    assert ours.info.quantize == "int8" and ours.info.packed_layout
    assert original.info.packed_layout == ""


def test_the_folder_says_what_it_is(packed):
    card = (packed / "README.md").read_text()
    assert "Only Chiasm reads this folder" in card and "transformers" in card
    for name in ("config.json", "tokenizer.json", "chat_template.json"):
        assert (packed / name).read_bytes() == (MODEL / name).read_bytes()
    assert not list(packed.glob("model*.safetensors")), "transformers must not half-read it"


def test_weights_are_mapped_and_not_copied(packed):
    """Loading takes no memory of its own for weights: they stay the file's pages."""
    code = (
        "import sys, chiasm; model = chiasm.load(sys.argv[1]);"
        "print('chiasm.safetensors' in open('/proc/self/maps').read())"
    )
    for folder, mapped in ((packed, "True"), (MODEL, "False")):
        done = subprocess.run([sys.executable, "-c", code, folder], capture_output=True, text=True)
        assert done.stdout.strip() == mapped, done.stderr


def test_command(tmp_path):
    out = tmp_path / "small"
    row = json.loads(run("quantize", MODEL, out, "--to", "int4", "--json").stdout)
    assert row["folder"] == str(out) and row["bytes"] > 0
    assert "exists" in run("quantize", MODEL, out, code=1).stderr
    text = run("quantize", MODEL, out, "--force").stdout
    assert str(out) in text and "int8" in text
    shown = run("inspect", "--model", out).stdout
    assert "mapped, layout" in shown and "packed q8" in shown and "q_proj+k_proj+v_proj" in shown
    words = run("caption", PICTURES / "wide.png", "--model", out, "--max-tokens", 4).stdout
    assert words.strip()
    assert os.listdir(tmp_path) == ["small"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((MODEL, "{out}", "--to", "int2"), "int8 or int4"),
        (("/no/such/model", "{out}"), "/no/such/model"),
        ((MODEL, "/no/such/place/out"), "does not exist"),
        ((MODEL, MODEL, "--force"), "is no packed model"),
        ((MODEL, "{out}", "--dtype", "int1"), "int1"),
    ],
)
def test_failures(tmp_path, arguments, expected):
    out = str(tmp_path / "out")
    line = [str(argument).replace("{out}", out) for argument in arguments]
    assert expected in run("quantize", *line, code=1).stderr
    assert os.listdir(tmp_path) == []


def test_a_full_disk_is_one_clear_line(tmp_path):
    """A limit on the size of files stands for a disk that fills up while it is written."""
    line = 'ulimit -f 64; trap "" XFSZ; exec "$0" quantize "$1" "$2"'
    done = subprocess.run(
        ["bash", "-c", line, COMMAND, MODEL, tmp_path / "out"], capture_output=True, text=True
    )
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert "cannot be written: File too large" in done.stderr
    assert os.listdir(tmp_path) == []


def test_an_embedder_reads_the_folder_too(tmp_path):
    mini = chiasm.quantize(None, tmp_path / "mini")
    ours, original = chiasm.load_embedder(mini), chiasm.load_embedder(quantize="int8")
    picture = str(PICTURES / "wide.png")
    assert np.array_equal(ours.embed_image([picture]), original.embed_image([picture]))
    assert np.array_equal(ours.embed_text(["a dog"]), original.embed_text(["a dog"]))


def test_settings_are_checked(tmp_path):
    for settings in ({"to": 3}, {"threads": 0}, {"to": "int9"}):
        with pytest.raises(chiasm.RequestError):
            chiasm.quantize(MODEL, tmp_path / "out", **settings)
    with pytest.raises(chiasm.RequestError):
        chiasm.quantize(MODEL, "")


def test_progress_is_heard(tmp_path):
    heard = []
    chiasm.quantize(MODEL, tmp_path / "out", progress=heard.append)
    assert heard == sorted(heard) and heard[-1] == 1.0


def test_a_gguf_model_can_be_inspected(smollm2, tmp_path):
    text = run("inspect", "--model", smollm2).stdout
    assert "q4_1" in text and "blk.0.attn_q.weight" in text
    assert "GGUF" in run("quantize", smollm2, tmp_path / "out", code=1).stderr
