"""Calls from several threads, cancelled calls and Ctrl-C leave a model as it was."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from conftest import MODELS, PICTURES


def test_threads_get_the_answers_of_calls_alone(model):
    pictures = [str(PICTURES / n) for n in ("wide.png", "tall.png", "square.png", "dot.png")]
    alone = [model.generate("<image>what", images=[p], max_tokens=24).token_ids for p in pictures]
    got: dict[int, list] = {i: [] for i in range(len(pictures))}
    errors = []

    def work(i: int) -> None:
        try:
            for _ in range(4):
                out = model.generate("<image>what", images=[pictures[i]], max_tokens=24)
                got[i].append(out.token_ids)
        except Exception as e:
            errors.append(e)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(len(pictures))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    for i, ids in enumerate(alone):
        assert got[i] == [ids] * 4


def test_one_bad_call_among_threads(model, picture):
    good = model.generate("<image>a", images=[picture], max_tokens=8).token_ids
    results: list = []

    def fine() -> None:
        results.append(model.generate("<image>a", images=[picture], max_tokens=8).token_ids)

    def broken() -> None:
        try:
            truncated = open(picture, "rb").read()[:200]
            model.generate("<image>a", images=[truncated], max_tokens=8)
            results.append("no error")
        except Exception:
            pass

    threads = [threading.Thread(target=t) for t in (fine, broken, fine, broken)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [good, good]


def test_python_runs_while_a_model_works(model):
    ticks = 0
    stream = model.stream("words", max_tokens=1500, ignore_eos=True)
    while stream._thread.is_alive():  # the counter advances only if the GIL is free
        ticks += 1
        time.sleep(0.0005)
    assert ticks > 10
    stream.close()


def test_ctrl_c_ends_a_call_and_leaves_the_model_usable(model):
    before = model.generate("words", max_tokens=8).token_ids
    timer = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        while True:
            model.generate_all(["some words to go on with"] * 8, max_tokens=1900, ignore_eos=True)
    timer.join()
    assert model.generate("words", max_tokens=8).token_ids == before


def test_another_signal_handler_may_raise_too(model):
    class Alarm(Exception):
        pass

    def ring(number, frame):
        raise Alarm

    old = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    try:
        with pytest.raises(Alarm):
            while True:
                model.generate_all(["some words"] * 8, max_tokens=1900, ignore_eos=True)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
    assert model.generate("words", max_tokens=2).usage.completion_tokens > 0


def test_a_program_may_end_in_the_middle_of_a_stream():
    code = f"""
import chiasm
model = chiasm.load({str(MODELS / "smolvlm_2x2")!r})
stream = model.stream("words", max_tokens=1900, ignore_eos=True)
print(len(next(stream)) > 0)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (run.returncode, run.stdout, run.stderr) == (0, "True\n", "")


def test_a_program_may_end_while_daemon_threads_are_in_calls():
    """Calls without the GIL, and calls whose callbacks ask for it: as a reader of files is when
    Ctrl-C ends a command."""
    code = f"""
import threading, time
import chiasm
from chiasm._chiasm import ImageInput
model = chiasm.load({str(MODELS / "smolvlm_2x2")!r})

def read():
    while True:
        ImageInput.from_file({str(PICTURES / "wide.png")!r})

def load():
    while True:
        chiasm.load({str(MODELS / "smolvlm_2x2")!r}, progress=lambda done: None)

for work in (read, load, load):
    threading.Thread(target=work, daemon=True).start()
time.sleep(0.3)
"""
    for _ in range(5):
        run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
        assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
