"""A peer in a process of its own, spoken to in lines of JSON.

Each peer has its own interpreter, so that one's libraries, threads and memory stay out of another's way.
`Worker` is the side that asks; `serve` is the side that answers.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import traceback
from collections.abc import Callable
from typing import Any, TextIO


class PeerError(Exception):
    """A peer that is not there, or a call that failed inside one."""


class Worker:
    """Starts `python -m peers.<module>` and calls its functions."""

    def __init__(self, module: str, python: str, environment: dict[str, str]):
        self.module = module
        here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
        environment = {**os.environ, **environment}
        environment["PYTHONPATH"] = os.pathsep.join(
            part for part in (here, environment.get("PYTHONPATH")) if part
        )
        self._log = open(os.path.join(environment["BENCH_LOGS"], f"{module}.log"), "a")
        self._process = subprocess.Popen(
            [python, "-m", f"peers.{module}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env=environment,
        )
        self._receive()  # says what it is once its libraries are loaded

    def call(self, function: str, **arguments: Any) -> Any:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps([function, arguments]) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise PeerError(f"{self.module} has ended; its log says why") from None
        return self._receive()

    def _receive(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise PeerError(f"{self.module} has ended; its log says why")
        reply = json.loads(line)
        if "error" in reply:
            raise PeerError(f"{self.module}: {reply['error']}")
        return reply["value"]

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
        self._log.close()


def serve(load: Callable[[], Any]) -> None:
    """Answers calls until the asker hangs up. `load` imports the libraries and makes the peer."""
    replies = _own_stdout()
    try:
        peer = load()
        _reply(replies, {"value": None})
    except Exception as error:  # most likely an import: the asker calls the peer not installed
        _reply(replies, {"error": f"{type(error).__name__}: {error}"})
        return
    for line in sys.stdin:
        function, arguments = json.loads(line)
        try:
            _reply(replies, {"value": getattr(peer, function)(**arguments)})
        except Exception as error:
            traceback.print_exc()
            _reply(replies, {"error": f"{function}: {type(error).__name__}: {error}"})


def resident_megabytes() -> dict[str, float]:
    """This process's resident memory now and at most, from /proc."""
    names = {"VmRSS": "now", "VmHWM": "most"}
    with open("/proc/self/status") as file:
        pairs = (line.split(":") for line in file)
        return {names[k]: int(v.split()[0]) * 1.024e-3 for k, v in pairs if k in names}


def forget_the_most() -> None:
    """The most resident memory is counted anew from now on (Linux: 5 in clear_refs)."""
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")


def _own_stdout() -> TextIO:
    """Standard output for the replies alone: whatever libraries print goes to standard error."""
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return replies


def _reply(to: TextIO, value: Any) -> None:
    to.write(json.dumps(value) + "\n")
    to.flush()
