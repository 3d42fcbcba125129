"""Load on a running `chiasm serve`: clients with words and pictures, some of which leave early or send
nonsense. Standard library alone; bounded by --seconds for each number of clients.

    chiasm serve --port 8000 &
    python bench/serve_load.py --url http://127.0.0.1:8000 --clients 1,4,16,64 --seconds 20

Every whole answer is compared with the first one to the same request (temperature 0): a difference
is counted as wrong. Reports requests and tokens a second, p50 and p99 of the time to the first token
and per token, resident memory before and after, and what is left running at the end.
"""

from __future__ import annotations

import argparse
import base64
import dataclasses
import http.client
import json
import pathlib
import random
import sys
import threading
import time
import urllib.parse

PICTURES = pathlib.Path(__file__).parents[1] / "docs" / "assets"
NONSENSE = (
    b"{",
    b'{"messages": 3}',
    b"[" * 10_000,
    json.dumps(
        {
            "model": "x",
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}
                    ],
                }
            ],
        }
    ).encode(),
)


@dataclasses.dataclass
class Report:
    """What the clients of one round saw."""

    lock: threading.Lock = dataclasses.field(default_factory=threading.Lock)
    to_first: list[float] = dataclasses.field(default_factory=list)
    per_token: list[float] = dataclasses.field(default_factory=list)
    tokens: int = 0
    whole: int = 0
    left: int = 0
    refused: int = 0
    nonsense: int = 0
    wrong: list[str] = dataclasses.field(default_factory=list)


class Load:
    """Clients against one server."""

    def __init__(self, url: str, max_tokens: int, seed: int):
        parts = urllib.parse.urlsplit(url)
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port or 80
        self._max_tokens = max_tokens
        self._seed = seed
        self._answers: dict[bytes, str] = {}
        self._lock = threading.Lock()
        self.model = next(m["id"] for m in self._get("/v1/models")["data"] if m["role"] == "chat")
        files = sorted(PICTURES.glob("*.png")) + sorted(PICTURES.glob("*.jpg"))
        self._pictures = [
            f"data:image/{f.suffix[1:].replace('jpg', 'jpeg')};base64,"
            + base64.b64encode(f.read_bytes()).decode()
            for f in files
        ]

    def round(self, clients: int, seconds: float) -> tuple[Report, float]:
        report = Report()
        end = time.monotonic() + seconds
        threads = [
            threading.Thread(
                target=self._client, args=(report, end, self._seed + 1000 * clients + i)
            )
            for i in range(clients)
        ]
        began = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return report, time.monotonic() - began

    def resident(self) -> float:
        """The server's resident memory in MB."""
        for line in self._raw("GET", "/metrics")[1].decode().splitlines():
            if line.startswith("process_resident_memory_bytes "):
                return float(line.split()[1]) / 1e6
        return 0.0

    def active(self) -> int:
        return int(json.loads(self._raw("GET", "/ready")[1])["requests"])

    def _client(self, report: Report, end: float, seed: int) -> None:
        dice = random.Random(seed)
        while time.monotonic() < end:
            kind = dice.random()
            try:
                if kind < 0.05:
                    self._send_nonsense(report, dice)
                else:
                    self._ask(report, dice, leaves=kind < 0.15)
            except OSError as e:
                with report.lock:
                    report.wrong.append(f"{type(e).__name__}: {e}")

    def _send_nonsense(self, report: Report, dice: random.Random) -> None:
        status, _ = self._raw("POST", "/v1/chat/completions", dice.choice(NONSENSE))
        with report.lock:
            report.nonsense += 1
            if not 400 <= status < 500:
                report.wrong.append(f"nonsense got status {status}")

    def _ask(self, report: Report, dice: random.Random, leaves: bool) -> None:
        body = self._request(dice)
        connection = http.client.HTTPConnection(self._host, self._port, timeout=120)
        began = time.monotonic()
        connection.request(
            "POST", "/v1/chat/completions", body, {"content-type": "application/json"}
        )
        response = connection.getresponse()
        if response.status == 429:
            with report.lock:
                report.refused += 1
            connection.close()
            time.sleep(0.05)
            return
        text, first, last, tokens = "", None, began, 0
        stop_after = dice.randint(1, 5) if leaves else None
        for line in response:
            if not line.startswith(b"data: {"):
                continue
            data = json.loads(line[6:])
            if "error" in data:
                text = f"error: {data['error']['message']}"
                break
            if data.get("usage"):
                tokens = data["usage"]["completion_tokens"]
            for choice in data["choices"]:
                if choice["delta"].get("content"):
                    last = time.monotonic()
                    first = first or last
                    text += choice["delta"]["content"]
            if stop_after is not None and len(text) > stop_after:
                connection.close()
                with report.lock:
                    report.left += 1
                return
        connection.close()
        self._count(report, body, text, response.status, began, first, last, tokens)

    def _count(
        self,
        report: Report,
        body: bytes,
        text: str,
        status: int,
        began: float,
        first: float | None,
        last: float,
        tokens: int,
    ) -> None:
        with self._lock:
            want = self._answers.setdefault(body, text)
        with report.lock:
            if status != 200 or text != want:
                report.wrong.append(f"status {status}, {text!r} instead of {want!r}")
                return
            report.whole += 1
            report.tokens += tokens
            if first is not None:
                report.to_first.append(first - began)
                if tokens > 1:
                    report.per_token.append((last - first) / (tokens - 1))

    def _request(self, dice: random.Random) -> bytes:
        content: list[dict[str, object]] = []
        if dice.random() < 0.4:
            url = dice.choice(self._pictures)
            content.append({"type": "image_url", "image_url": {"url": url}})
        words = " ".join(["Tell me more."] * dice.choice((1, 1, 2, 12)))
        content.append({"type": "text", "text": f"{words} What is number {dice.randint(1, 6)}?"})
        request = {
            "model": self.model,
            "messages": [{"role": "user", "content": content}],
            "max_tokens": dice.choice((4, self._max_tokens // 2, self._max_tokens)),
            "temperature": 0,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        return json.dumps(request).encode()

    def _get(self, path: str) -> dict[str, list[dict[str, str]]]:
        out: dict[str, list[dict[str, str]]] = json.loads(self._raw("GET", path)[1])
        return out

    def _raw(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(self._host, self._port, timeout=120)
        connection.request(method, path, body, {"content-type": "application/json"})
        response = connection.getresponse()
        data = response.read()
        connection.close()
        return response.status, data


def percentile(values: list[float], share: float) -> float:
    if not values:
        return float("nan")
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument("--clients", default="1,4,16,64")
    parser.add_argument("--seconds", type=float, default=15.0, help="for each number of clients")
    parser.add_argument("--max-tokens", type=int, default=48)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    load = Load(options.url, options.max_tokens, options.seed)
    load.round(1, min(2.0, options.seconds))  # warm-up
    print(
        "| clients | requests | req/s | tokens/s | first p50, p99 ms | token p50, p99 ms | left early "
        "| refused | nonsense | wrong | MB |"
    )
    print("| --- " * 11 + "|")
    bad = 0
    for clients in map(int, options.clients.split(",")):
        report, seconds = load.round(clients, options.seconds)
        first = [percentile(report.to_first, s) * 1e3 for s in (0.5, 0.99)]
        each = [percentile(report.per_token, s) * 1e3 for s in (0.5, 0.99)]
        print(
            f"| {clients} | {report.whole} | {report.whole / seconds:.1f} "
            f"| {report.tokens / seconds:.0f} | {first[0]:.0f}, {first[1]:.0f} "
            f"| {each[0]:.1f}, {each[1]:.1f} | {report.left} | {report.refused} "
            f"| {report.nonsense} | {len(report.wrong)} | {load.resident():.0f} |",
            flush=True,
        )
        for problem in report.wrong[:3]:
            print(f"wrong: {problem}", file=sys.stderr)
        bad += len(report.wrong)
    time.sleep(1.0)
    left = load.active()
    print(f"still running at the end: {left}")
    return 1 if bad or left else 0


if __name__ == "__main__":
    sys.exit(main())
