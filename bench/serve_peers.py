"""The same text requests against several OpenAI-compatible servers, in turns: throughput and the times to
the first token and per token at several numbers of clients. Standard library alone.

    chiasm serve --model SMOLLM2.gguf --port 8001 --threads 2 &
    llama-server -m SMOLLM2.gguf --port 8002 -t 2 -np 16 -c 65536 --no-webui &
    python bench/serve_peers.py --servers chiasm=http://127.0.0.1:8001,llama-server=http://127.0.0.1:8002 \\
        --clients 1,4,16 --seconds 30 --rounds 3

Every request begins with other words, so that no server has its prefix in a cache; the n-th request of a
round is the same for all servers. Answers are greedy and of --max-tokens tokens (the end token is ruled
out by `logit_bias`), unless a server ends them by itself: what counts is what its usage says.
"""

from __future__ import annotations

import argparse
import dataclasses
import http.client
import itertools
import json
import random
import sys
import threading
import time
import urllib.parse
from typing import Any

from serve_load import percentile

_WORDS = (
    "harbour winter lamp river copper garden letter window bridge mountain paper engine cloud "
    "market silver road music forest kitchen evening stone wheel island summer thread tower"
).split()
_PROMPT_WORDS = (20, 20, 150, 600)  # short questions, and now and then a page


@dataclasses.dataclass
class Answer:
    began: float
    first: float
    last: float
    tokens: int
    prompt_tokens: int


@dataclasses.dataclass
class Round:
    seconds: float = 0.0
    answers: list[Answer] = dataclasses.field(default_factory=list)
    errors: list[str] = dataclasses.field(default_factory=list)


class Server:
    """One server and the model that it names first."""

    def __init__(self, name: str, url: str, max_tokens: int, end_token: int):
        parts = urllib.parse.urlsplit(url)
        self.name = name
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port or 80
        self._max_tokens = max_tokens
        self._bias = {str(end_token): -100} if end_token >= 0 else None
        connection = self._connect()
        connection.request("GET", "/v1/models")
        models = json.loads(connection.getresponse().read())["data"]
        connection.close()
        self._model = next(m["id"] for m in models if m.get("role", "chat") == "chat")

    def _connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self._host, self._port, timeout=300)

    def ask(self, words: str) -> Answer:
        """ValueError for an answer that is none."""
        request: dict[str, Any] = {
            "model": self._model,
            "messages": [{"role": "user", "content": words}],
            "max_tokens": self._max_tokens,
            "temperature": 0,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if self._bias is not None:
            request["logit_bias"] = self._bias
        connection = self._connect()
        began = time.monotonic()
        connection.request(
            "POST",
            "/v1/chat/completions",
            json.dumps(request).encode(),
            {"content-type": "application/json"},
        )
        response = connection.getresponse()
        if response.status != 200:
            raise ValueError(f"status {response.status}: {response.read(300)!r}")
        first, last, usage = 0.0, 0.0, None
        for line in response:
            if not line.startswith(b"data: {"):
                continue
            data = json.loads(line[6:])
            usage = data.get("usage") or usage
            if any(choice["delta"].get("content") for choice in data.get("choices", ())):
                last = time.monotonic()
                first = first or last
        connection.close()
        if usage is None or not first:
            raise ValueError("the stream ended without words or without usage")
        return Answer(began, first, last, usage["completion_tokens"], usage["prompt_tokens"])

    def round(self, clients: int, seconds: float, seed: int) -> Round:
        out = Round()
        numbers = itertools.count()
        lock = threading.Lock()
        end = time.monotonic() + seconds

        def client() -> None:
            while time.monotonic() < end:
                with lock:
                    words = prompt(seed, next(numbers))
                try:
                    answer = self.ask(words)
                except (OSError, ValueError, http.client.HTTPException) as e:
                    with lock:
                        out.errors.append(f"{type(e).__name__}: {e}")
                    continue
                with lock:
                    out.answers.append(answer)

        threads = [threading.Thread(target=client) for _ in range(clients)]
        began = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        out.seconds = time.monotonic() - began
        return out


def prompt(seed: int, number: int) -> str:
    dice = random.Random(f"{seed} {number}")
    words = " ".join(dice.choice(_WORDS) for _ in range(dice.choice(_PROMPT_WORDS)))
    return f"Story {dice.randrange(10**9)}: {words}. Go on with this story in many words."


def row(name: str, clients: int, rounds: list[Round]) -> str:
    answers = [a for r in rounds for a in r.answers]
    seconds = sum(r.seconds for r in rounds)
    first = [a.first - a.began for a in answers]
    each = [(a.last - a.first) / (a.tokens - 1) for a in answers if a.tokens > 1]
    times = [percentile(t, share) * 1e3 for t in (first, each) for share in (0.5, 0.99)]
    return (
        f"| {clients} | {name} | {len(answers)} | {sum(a.tokens for a in answers) / seconds:.0f} "
        f"| {sum(a.prompt_tokens for a in answers) / seconds:.0f} | {times[0]:.0f}, {times[1]:.0f} "
        f"| {times[2]:.1f}, {times[3]:.1f} | {sum(len(r.errors) for r in rounds)} |"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--servers", required=True, help="NAME=URL, comma-separated")
    parser.add_argument("--clients", default="1,4,16")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each server's round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--max-tokens", type=int, default=64)
    parser.add_argument("--end-token", type=int, default=2, help="ruled out; -1: none is")
    options = parser.parse_args()
    servers = [
        Server(*server.split("=", 1), options.max_tokens, options.end_token)
        for server in options.servers.split(",")
    ]
    for server in servers:  # warm-up
        server.round(1, min(2.0, options.seconds), seed=-1)
    print(
        "| clients | server | requests | tokens/s | prompt tokens/s | first p50, p99 ms "
        "| token p50, p99 ms | errors |\n| --: | --- | --: | --: | --: | --: | --: | --: |"
    )
    bad = 0
    for clients in map(int, options.clients.split(",")):
        seen: dict[str, list[Round]] = {server.name: [] for server in servers}
        for turn in range(options.rounds):
            for server in servers if turn % 2 == 0 else reversed(servers):
                seed = 1000 * clients + turn
                seen[server.name].append(server.round(clients, options.seconds, seed))
        for name, rounds in seen.items():
            print(row(name, clients, rounds), flush=True)
            problems = [problem for r in rounds for problem in r.errors]
            for problem in problems[:3]:
                print(f"{name}: {problem}", file=sys.stderr)
            bad += len(problems)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
