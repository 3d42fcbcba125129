"""The command line as a user or a script meets it: output, exit codes, one line for each error."""

import contextlib
import io
import json
import os
import pathlib
import pty
import select
import shutil
import signal
import subprocess
import sys
import time

import pytest
from conftest import MODELS, PICTURES

import chiasm
from chiasm._progress import progress
from chiasm.cli import answer
from chiasm.cli.chat import Conversation
from chiasm.cli.output import stripped

MODEL = str(MODELS / "smolvlm_2x2")
TEXT_MODEL = str(MODELS / "llama_gqa")
WIDE = str(PICTURES / "wide.png")
COMMAND = pathlib.Path(sys.executable).parent / "chiasm"


def run(*arguments, stdin: str = "", code: int = 0, **settings) -> subprocess.CompletedProcess:
    done = subprocess.run(
        [COMMAND, *arguments], input=stdin, capture_output=True, text=True, timeout=60, **settings
    )
    assert done.returncode == code, done.stderr
    if code:
        assert done.stderr.startswith("chiasm: error: ") and done.stderr.count("\n") == 1
    else:
        assert done.stderr == "", "no bars and no chatter where nobody looks"
    return done


def test_version():
    assert run("--version").stdout == f"chiasm {chiasm.__version__}\n"
    module = subprocess.run(
        [sys.executable, "-m", "chiasm", "--version"], capture_output=True, text=True
    )
    assert module.stdout == f"chiasm {chiasm.__version__}\n"


def test_help_names_every_command():
    text = run("--help").stdout
    commands = "caption ask chat index search rag plan inspect quantize bench mcp verify doctor"
    for name in commands.split():
        assert name in text and name in run(name, "--help").stdout


def test_start_up_imports_little():
    code = (
        "import sys, chiasm; heavy = {'torch', 'PIL', 'typer', 'jinja2', 'huggingface_hub', 'rich'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "[]\n"


def test_caption(model):
    words = chiasm.load(MODEL).caption(WIDE, max_tokens=8)
    assert run("caption", WIDE, "--model", MODEL, "--max-tokens", "8").stdout == words + "\n"


def test_json_is_one_object_a_line():
    pictures = [WIDE, str(PICTURES / "dot.png")]
    out = run("caption", *pictures, "--model", MODEL, "--max-tokens", "5", "--json").stdout
    rows = [json.loads(line) for line in out.splitlines()]
    assert [row["picture"] for row in rows] == pictures
    loaded = chiasm.load(MODEL)
    for row in rows:
        assert row["text"].strip() == loaded.caption(row["picture"], max_tokens=5)
        assert len(row["token_ids"]) == row["usage"]["completion_tokens"]
        assert set(row["timings"]) == {"preprocess", "encode", "prefill", "decode"}


def test_a_folder_of_pictures(tmp_path):
    for i in range(11):  # more than one batch
        shutil.copy(PICTURES / ("wide.png" if i % 2 else "tall.png"), tmp_path / f"{i:02}.png")
    (tmp_path / "notes.txt").write_text("no picture")
    out = run("caption", tmp_path, "--model", MODEL, "--max-tokens", "3").stdout
    assert [line.split(": ")[0] for line in out.splitlines()] == [
        str(tmp_path / f"{i:02}.png") for i in range(11)
    ]


def test_ask():
    loaded = chiasm.load(MODEL)
    common = ("--model", MODEL, "--max-tokens", "6")
    words = loaded.ask(WIDE, "What?", max_tokens=6)
    assert run("ask", WIDE, "What?", *common).stdout == words + "\n"
    text = loaded.generate([{"role": "user", "content": "What?"}], max_tokens=6).text
    assert run("ask", "What?", *common).stdout == text.strip() + "\n"
    row = json.loads(run("ask", "What?", *common, "--json").stdout)
    assert row["text"] == text and "picture" not in row


def test_sampling_options_arrive():
    sampled = ("--temperature", "1.2", "--seed", "3", "--top-k", "40", "--top-p", "0.9")
    common = ("ask", "What?", "--model", MODEL, "--max-tokens", "12")
    first = run(*common, *sampled).stdout
    assert run(*common, *sampled).stdout == first != run(*common).stdout


def test_out_is_written_whole(tmp_path):
    file = tmp_path / "captions.jsonl"
    common = ("--model", MODEL, "--max-tokens", "3", "--json", "--out", file)
    assert run("caption", WIDE, *common).stdout == ""
    assert json.loads(file.read_text())["picture"] == WIDE
    kept = file.read_bytes()
    (tmp_path / "bad.png").write_text("no picture")
    many = [WIDE] * 9  # the bad one is in the second batch
    run("caption", *many, tmp_path / "bad.png", *common, code=1)
    assert file.read_bytes() == kept
    assert sorted(f.name for f in tmp_path.iterdir()) == ["bad.png", "captions.jsonl"]
    run("caption", WIDE, "--model", MODEL, "--out", tmp_path / "no" / "file", code=1)


def test_plan():
    common = ("plan", WIDE, "--model", MODEL)
    row = json.loads(run(*common, "--json").stdout)
    assert row["image_tokens"] == 27 and row["tiles"] == 3
    text = run(*common).stdout
    assert f"{row['tokens']} tokens, 27 of them for pictures" in text and "peak memory" in text


def test_inspect():
    row = json.loads(run("inspect", "--model", MODEL, "--json").stdout)
    assert row["family"] == "smolvlm" and row["tokens_per_tile"] == 9
    shapes = {tensor["name"]: tensor["shape"] for tensor in row["tensors"]}
    assert shapes["lm_head.weight"] == [411, 60]
    text = run("inspect", "--model", MODEL).stdout
    assert "9 a tile, from 36 patches" in text and "lm_head.weight" in text


def test_doctor():
    facts = json.loads(run("doctor", "--json").stdout)
    assert facts["isa"] in facts["isa_available"] and facts["cpus"] >= 1
    assert facts["version"] == chiasm.__version__ and "smolvlm" in facts["families"]
    assert "CPU path" in run("doctor").stdout
    absent = {**os.environ, "CHIASM_CUDA_PLUGIN": "/no/such/plugin.so"}
    device = json.loads(run("doctor", "--json", env=absent).stdout)["device"]
    assert "/no/such/plugin.so" in device["missing"] and device["count"] == 0
    assert "none: the plug-in cannot be loaded" in run("doctor", env=absent).stdout
    forced = run("doctor", "--json", env={**os.environ, "CHIASM_FORCE_CPU": "portable"})
    assert json.loads(forced.stdout)["isa"] == "portable"
    run("doctor", env={**os.environ, "CHIASM_FORCE_CPU": "abacus"}, code=1)


def test_chat_through_a_pipe():
    lines = f"Hello\n/image {WIDE}\nWhat is this?\n/reset\nHello\n/exit\nnever read\n"
    out = run("chat", "--model", MODEL, "--max-tokens", "4", "--json", stdin=lines).stdout
    first, second, third = map(json.loads, out.splitlines())
    assert first["text"] == third["text"]
    assert second["usage"]["image_tokens"] == 27
    assert second["usage"]["cached_tokens"] > 0 and third["usage"]["cached_tokens"] > 0


def test_chat_says_what_generate_says():
    loaded = chiasm.load(MODEL)
    out = run("chat", "--model", MODEL, "--max-tokens", "4", "--system", "Be kind.", stdin="Hi\n")
    messages = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hi"}]
    assert out.stdout == loaded.generate(messages, max_tokens=4).text.strip() + "\n"


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("sing",),
        ("caption",),
        ("ask",),
        ("caption", WIDE, "--no-such-option"),
        ("caption", WIDE, "--max-tokens", "0"),
        ("caption", WIDE, "--max-tokens", "many"),
        ("caption", WIDE, "--temperature", "-1"),
        ("caption", WIDE, "--temperature", "nan"),
        ("caption", WIDE, "--threads", "0"),
        ("caption", WIDE, "--seed", "-1"),
        ("inspect", "extra"),
    ],
)
def test_wrong_usage_exits_2(arguments):
    run(*arguments, code=2)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("caption", WIDE, "--model", "/no/such/model"), "/no/such/model"),
        (("caption", "/no/such.png", "--model", MODEL), "/no/such.png"),
        (("caption", __file__, "--model", MODEL), "text file"),
        (("caption", str(MODELS), "--model", MODEL), "no pictures in this folder"),
        (("caption", WIDE, "--model", TEXT_MODEL), "no pictures"),
        (("caption", WIDE, "--model", MODEL, "--max-tokens", "5000"), "context of 2048"),
        (("caption", WIDE, "--model", MODEL, "--min-p", "nan"), "min_p"),
        (("caption", WIDE, "--model", MODEL, "--top-p", "2"), "top_p"),
        (("caption", WIDE, "--model", MODEL, "--dtype", "int1"), "int1"),
        (("plan", WIDE, "--model", MODEL, "--device", "cuda"), "cuda"),
        (("inspect", "--model", "nobody/nothing", "--offline"), "offline mode"),
    ],
)
def test_failures_exit_1(arguments, expected):
    assert expected in run(*arguments, code=1).stderr


def test_an_error_in_chat_exits_1():
    lines = "/image /no/such.png\nWhat?\nMore?\n"
    assert "/no/such.png" in run("chat", "--model", MODEL, stdin=lines, code=1).stderr


def start(*arguments, **settings) -> subprocess.Popen:
    return subprocess.Popen([COMMAND, *arguments], **settings)


def test_ctrl_c_exits_130(tmp_path):
    pictures = [WIDE] * 5000
    out = tmp_path / "out"
    process = start(
        "caption", *pictures, "--model", MODEL, "--out", out, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 30
    while not list(tmp_path.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert errors == "chiasm: error: interrupted\n"
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_at_the_prompt_exits_130():
    process = start(
        "chat",
        "--model",
        MODEL,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    process.stdin.write("hi\n")
    process.stdin.flush()
    process.stdout.read(1)
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 130


def test_a_reader_that_leaves():
    many = ("caption", *[WIDE] * 5000, "--model", MODEL)  # more than a pipe holds
    process = start(*many, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.read(1)
    process.stdout.close()
    errors = process.stderr.read()
    assert process.wait(timeout=30) == 1 and b"Traceback" not in errors


def on_terminal(stream: str) -> str:
    """What `chiasm ask` writes to a stream that is a terminal, the other one being a pipe."""
    master, terminal = pty.openpty()
    streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, stream: terminal}
    process = start("ask", "go on", "--model", MODEL, "--max-tokens", "200", **streams)
    os.close(terminal)
    output = read_all(master)
    assert process.wait(timeout=30) == 0
    return output


def read_all(master: int) -> str:
    output = b""
    while select.select([master], [], [], 30)[0]:
        try:
            piece = os.read(master, 4096)
        except OSError:  # the other end is closed
            break
        if not piece:
            break
        output += piece
    os.close(master)
    return output.decode(errors="replace").replace("\r\n", "\n")


def test_a_terminal_gets_no_control_characters():
    """A model may say anything, but not move the cursor."""
    text = on_terminal("stdout")
    assert len(text) > 20 and not any(ord(c) < 32 and c not in "\n\t" for c in text)


def test_a_person_sees_a_bar_where_loading_takes_long(monkeypatch):
    """Half a second is long: loading this small model takes less."""
    assert "loading" not in on_terminal("stderr")

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    for after, shown in ((0.0, True), (1000.0, False)):
        monkeypatch.setattr(sys, "stderr", Terminal())
        with progress("loading", after=after) as show:
            show(0.5)
            show(1.0)
        assert ("loading" in sys.stderr.getvalue()) == shown


def test_the_bar_moves_with_each_picture(monkeypatch):
    heard = []

    @contextlib.contextmanager
    def listen(title, shown):
        yield heard.append

    monkeypatch.setattr(answer, "progress", listen)
    with open(os.devnull, "w") as nowhere:
        monkeypatch.setattr(answer, "output", lambda out: contextlib.nullcontext(nowhere))
        # Answers that end with a letter end at different steps.
        settings = {"max_tokens": 60, "temperature": 1.5, "seed": 1, "stop": ["a", "e"]}
        many = [str(PICTURES / f"{name}.png") for name in ("wide", "tall", "dot", "square", "wide")]
        answer.run(None, many, model=MODEL, json=True, out=None, load={}, settings=settings)
    assert heard[-1] == 1.0 and heard == sorted(set(heard)), "whole, and ever onwards"
    assert len(heard) > 1, "not only when the whole batch is done"


def test_ctrl_c_during_the_imports(tmp_path):
    """NumPy takes 0.15 s to load, and a finger may come in the midst of it."""
    (tmp_path / "numpy.py").write_text(
        "import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(20)\n"
    )
    settings = {
        "capture_output": True,
        "text": True,
        "env": {**os.environ, "PYTHONPATH": str(tmp_path)},
    }
    for command in ([COMMAND], [sys.executable, "-m", "chiasm"]):
        done = subprocess.run([*command, "ask", "What?", "--model", MODEL], timeout=15, **settings)
        assert (done.returncode, done.stderr) == (130, "chiasm: error: interrupted\n")


def test_chat_with_a_person():
    master, terminal = pty.openpty()
    common = ("chat", "--model", MODEL, "--max-tokens", "5")
    process = start(*common, stdin=terminal, stdout=terminal, stderr=terminal)
    os.close(terminal)
    os.write(master, b"/help\n/image /no/such.png\n/image\nHello\n/exit\n")
    output = read_all(master)
    assert process.wait(timeout=30) == 0, "an error does not end the conversation"
    assert "/help lists commands" in output and "/reset" in output
    assert "chiasm: error: /no/such.png: " in output and "/image FILE: " in output


def test_white_space_around_an_answer_is_not_shown():
    for pieces in ([" a", " b", " ", "\n", "c ", " "], [" ", "\n"], [], ["a"], ["  a  "]):
        assert "".join(stripped(pieces)) == "".join(pieces).strip()


def test_closed_streams():
    """`<&-` and `>&-` leave Python without sys.stdin and sys.stdout."""
    for redirection, code in (("<&-", 0), (">&-", 0), ("2>&-", 0)):
        line = f'"$0" chat --model "$1" </dev/null {redirection}'
        done = subprocess.run(["bash", "-c", line, COMMAND, MODEL], capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (code, "")
    line = '"$0" doctor >/dev/full'
    done = subprocess.run(["bash", "-c", line, COMMAND], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == "chiasm: error: writing the output: No space left on device\n"


def test_pictures_from_a_pipe():
    line = '"$0" caption <(cat "$2") --model "$1" --max-tokens 8'
    done = subprocess.run(
        ["bash", "-c", line, COMMAND, MODEL, WIDE], capture_output=True, text=True
    )
    assert done.stdout == run("caption", WIDE, "--model", MODEL, "--max-tokens", "8").stdout


def test_a_bad_picture_in_chat_does_not_stay():
    conversation = Conversation(chiasm.load(MODEL), None)
    for bad in ("", "/no/such.png", __file__):
        with pytest.raises(chiasm.Error):
            conversation.show(bad)
    assert conversation.pictures == []


@pytest.mark.parametrize("name", ["", ".", "no/file", "folder"])
def test_out_names_what_was_asked_for(tmp_path, name):
    (tmp_path / "folder").mkdir()
    common = ("caption", WIDE, "--model", MODEL, "--out", name)
    assert f"--out {name or '.'}: " in run(*common, code=1, cwd=tmp_path).stderr


def test_words_that_are_not_utf8():
    done = subprocess.run([COMMAND, "ask", b"\xff", "--model", MODEL], capture_output=True)
    assert done.returncode == 1 and b"the question is not UTF-8" in done.stderr
