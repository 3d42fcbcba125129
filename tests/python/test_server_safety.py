"""What strangers may send a server, and what it lets them do."""

import base64
import http.client
import http.server
import json
import socket
import struct
import threading
import time
import zlib

import pytest
from conftest import MODELS, PICTURES
from serving import serving

import chiasm
from chiasm.errors import MediaError
from chiasm.server import Models, Settings, completions
from chiasm.server import fetch as fetching
from chiasm.server.errors import ApiError

WIDE = (PICTURES / "wide.png").read_bytes()


@pytest.fixture(scope="module")
def models():
    return Models(chat=chiasm.load(max_image_pixels=1_000_000), chat_name="mini")


@pytest.fixture(scope="module")
def server(models):
    with serving(models, max_body_bytes=1 << 20, max_images=2, body_seconds=1.0) as running:
        yield running


def call(server, method="POST", path="/v1/chat/completions", body=None, headers=None):
    """(status, parsed body) of one request, as it is."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    sent = {"content-type": "application/json"} | (headers or {})
    data = json.dumps(body).encode() if isinstance(body, (dict, list)) else body
    connection.request(method, path, body=data, headers=sent)
    response = connection.getresponse()
    text = response.read()
    connection.close()
    try:
        return response.status, json.loads(text)
    except ValueError:
        return response.status, text


def chat(content="Hi", **more):
    return {
        "model": "mini",
        "max_tokens": 2,
        "messages": [{"role": "user", "content": content}],
    } | more


def seen(*urls):
    return [{"type": "image_url", "image_url": {"url": url}} for url in urls]


def data_url(picture: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(picture).decode()}"


def png(width: int, height: int) -> bytes:
    """A picture whose header tells any size; its pixels are few bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = zlib.compress(b"\0" * min(height * (3 * width + 1), 1 << 22))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


HOSTILE = [
    b"",
    b"{",
    b"null",
    b"[]",
    b'"a"',
    b"\xff\xfe",
    b"{" + b'"a":{' * 10_000,
    b"[" * 10_000 + b"]" * 10_000,
    b'{"model": NaN}',
    b'{"model": ' + b"9" * 5_000 + b"}",
    chat("\ud800"),
    chat(12),
    chat([]),
    chat([{"type": "text"}]),
    chat([{"type": "image_url", "image_url": "http://x"}]),
    chat([{"type": "video_url", "video_url": {"url": "x"}}]),
    chat([{"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}]),
    chat(seen(data_url(b"\x89PNG"))),
    chat(seen(data_url(WIDE)[:-40])),
    chat(seen("data:image/png;base64,AAA")),
    chat(seen("data:,")),
    chat(seen("javascript:alert(1)")),
    chat(seen("http://127.0.0.1/", "x")),
    chat(seen(*[data_url(png(1, 1))] * 3)),
    chat(seen(data_url(png(50_000, 50_000)))),
    chat(seen(data_url(png(1001, 1001)))),
    chat(messages=[{"role": "robot", "content": "Hi"}]),
    chat(messages=[{"role": "user", "content": "Hi", "tool_calls": [{"function": {}}]}]),
    chat(
        messages=[
            {
                "role": "assistant",
                "tool_calls": [{"function": {"name": "f", "arguments": "[" * 10_000}}],
            }
        ]
    ),
    chat(temperature="hot"),
    b'{"model":"mini","temperature":1e400,"messages":[]}',
    chat(max_tokens=10**30),
    chat(n=1000),
    chat(seed=2**70),
    chat(stop=[""]),
    chat(stop=["a"] * 100),
    chat(logit_bias={"x": 1}),
    chat(logit_bias={"99999999": 1}),
    chat(top_logprobs=5),
    chat(response_format={"type": "json_schema"}),
    chat(
        response_format={"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": 3}}}
    ),
    chat(tools=[{"type": "function", "function": {"name": "f"}}]),
    chat(tools=[{"type": "function", "function": {"name": "bad name"}}]),
    chat(tool_choice="required"),
    chat(tool_choice={"type": "function", "function": {"name": "f"}}),
    chat("word " * 5_000),
]


@pytest.mark.parametrize("i", range(len(HOSTILE)))
@pytest.mark.parametrize("stream", [False, True])
def test_hostile_bodies_get_an_error_and_nobody_else_does(server, i, stream):
    body = HOSTILE[i]
    if isinstance(body, dict):
        body = body | {"stream": stream}
    status, answer = call(server, body=body)
    assert 400 <= status < 500, (status, answer)
    assert isinstance(answer["error"]["message"], str) and len(answer["error"]["message"]) < 2000
    assert server.idle()
    status, answer = call(server, body=chat(temperature=0))
    assert status == 200 and answer["choices"][0]["message"]["role"] == "assistant"


def test_pictures_at_the_edge_are_seen(server):
    for picture in (png(1, 1), png(1, 300), png(1000, 1000)):
        status, answer = call(server, body=chat(seen(data_url(picture))))
        assert status == 200, answer
        assert answer["usage"]["prompt_tokens_details"]["image_tokens"] > 0


def test_a_picture_is_told_too_large_by_its_header(server):
    _, answer = call(server, body=chat(seen(data_url(png(50_000, 50_000)))))
    assert "image 1" in answer["error"]["message"] and answer["error"]["code"] == "invalid_media"


def test_large_bodies_are_refused_before_they_are_read(server):
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\n"
    for rest in (
        b"content-length: 99999999999999999999\r\n\r\n",
        b"content-length: 2000000\r\n\r\n",
    ):
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as raw:
            raw.sendall(head + rest)
            assert raw.recv(100).split(b" ")[1] in (b"413", b"400")
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as raw:
        raw.sendall(head + b"transfer-encoding: chunked\r\n\r\n")
        for _ in range(8):
            raw.sendall(b"20000\r\n" + b"x" * 0x20000 + b"\r\n")
        raw.sendall(b"1\r\nx\r\n")
        assert b" 413 " in raw.recv(100)


def test_a_body_that_never_comes_is_given_up(server):
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as raw:
        raw.sendall(b"POST /v1/models HTTP/1.1\r\nhost: localhost\r\ncontent-length: 10\r\n\r\nabc")
        assert b" 408 " in raw.recv(100)


@pytest.mark.parametrize(
    "headers, status",
    [
        ({"host": "evil.example"}, 403),
        ({"host": "evil.example:8000"}, 403),
        ({"host": ""}, 403),
        ({"host": "localhost:1"}, 200),
        ({"host": "[::1]:8000"}, 200),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"host": "127.0.0.1:9", "origin": "http://127.0.0.1:9"}, 200),
    ],
)
def test_pages_of_others_and_other_names_are_refused(server, headers, status):
    assert call(server, "GET", "/v1/models", headers=headers)[0] == status


def test_an_api_key_covers_every_route_but_health(models):
    with serving(models, api_key="geheim") as server:
        for path in ("/", "/v1/models", "/metrics", "/page/app.js", "/openapi.json"):
            assert call(server, "GET", path)[0] == 401
            for wrong in ("Bearer x", "Basic !!!", "Bearer", "geheim", "Bearer gehei", "Bearer é"):
                headers = {"authorization": wrong.encode()}
                assert call(server, "GET", path, headers=headers)[0] == 401
            basic = base64.b64encode(b"any:geheim").decode()
            for right in ("Bearer geheim", f"Basic {basic}"):
                assert call(server, "GET", path, headers={"authorization": right})[0] == 200
        for path in ("/health", "/ready"):
            assert call(server, "GET", path)[0] == 200


def test_more_requests_than_are_taken_are_refused(models, monkeypatch):
    def slow(*given):
        *others, receive, flag = given
        return answer(*others, lambda piece: time.sleep(0.01) or receive(piece), flag)

    answer = completions.answer
    monkeypatch.setattr(completions, "answer", slow)
    endless = chiasm.load(MODELS / "llama_tied")  # random weights that never say the end token
    with serving(Models(chat=endless, chat_name="mini"), max_requests=2) as server:
        long = {"model": "mini", "prompt": "A dog", "max_tokens": 1900, "temperature": 0}
        body = json.dumps(long).encode()
        head = "POST /v1/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json"
        head += f"\r\ncontent-length: {len(body)}\r\n\r\n"
        open_ones = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(2)]
        for raw in open_ones:
            raw.sendall(head.encode() + body)
        assert wait_for(lambda: len(server.state.jobs.active) == 2)
        short = {"model": "mini", "prompt": "A dog", "max_tokens": 1}
        status, answered = call(server, path="/v1/completions", body=short)
        assert status == 429 and "--max-requests" in answered["error"]["message"]
        assert call(server, "GET", "/ready")[0] == 503 and call(server, "GET", "/health")[0] == 200
        for raw in open_ones:
            raw.close()
        assert server.idle(5), "requests whose clients have gone still run"
        assert call(server, path="/v1/completions", body=short)[0] == 200


def wait_for(what, seconds=5.0):
    end = time.monotonic() + seconds
    while not what() and time.monotonic() < end:
        time.sleep(0.01)
    return what()


PRIVATE = [
    "127.0.0.1",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "0.0.0.0",
    "224.0.0.1",
    "::1",
    "::",
    "fe80::1%eth0",
    "fc00::1",
    "::ffff:127.0.0.1",
    "64:ff9b::7f00:1",
    "2002:7f00:1::",
]


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses(address):
    assert not fetching.is_public(address)


def test_public_addresses():
    assert fetching.is_public("93.184.216.34") and fetching.is_public("2606:2800:220:1::1")


class _Host(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.hosts.append(self.headers["host"])
        if self.path == "/picture":
            self.send_response(200)
            self.end_headers()
            self.wfile.write(WIDE)
        elif self.path == "/large":
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"x" * 100_000)
        elif self.path == "/slow":
            self.send_response(200)
            self.end_headers()
            for _ in range(100):
                self.wfile.write(b"x")
                self.wfile.flush()
                threading.Event().wait(0.1)
        elif self.path.startswith("/to/"):
            self.send_response(302)
            self.send_header("location", self.path[4:])
            self.end_headers()
        else:
            self.send_error(404)

    def log_message(self, *_):
        pass


@pytest.fixture
def host(monkeypatch):
    """pictures.example, which leads to a server of this machine past the check of its address."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Host)
    server.hosts = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    asked = []

    def address(name, port, label):
        asked.append(name)
        return server.server_address[:2]

    monkeypatch.setattr(fetching, "public_address", address)
    server.asked = asked
    yield server
    server.shutdown()
    server.server_close()


ALLOWED = Settings(media_domains=("pictures.example",), max_image_bytes=50_000, fetch_seconds=1.0)


def test_pictures_come_from_allowed_hosts(host):
    url = "http://pictures.example"
    assert fetching.fetch(f"{url}/picture", "image 1", ALLOWED) == WIDE
    assert fetching.fetch(f"{url}/to//picture", "image 1", ALLOWED) == WIDE
    assert host.asked == ["pictures.example"] * 3 and set(host.hosts) == {"pictures.example"}
    for path, words in (("/large", "limit"), ("/none", "404"), ("/slow", "nothing|limit")):
        with pytest.raises(MediaError, match=words):
            fetching.fetch(url + path, "image 1", ALLOWED)
    with pytest.raises(MediaError, match="redirects"):
        fetching.fetch(f"{url}/to//to//to//to//picture", "image 1", ALLOWED)


@pytest.mark.parametrize(
    "url",
    [
        "http://evil.example/picture",
        "http://pictures.example.evil.example/picture",
        "http://pictures.example@evil.example/picture",
        "http://user:word@pictures.example/picture",
        "http://pictures.example/to/http://evil.example/picture",
        "http://pictures.example/to/file:///etc/passwd",
        "http://pictures.example:99999/picture",
        "http://[::1/picture",
        "http://pictures.example/a b",
        "http://pictures.example/\r\nx: y",
    ],
)
def test_other_places_are_refused(host, url):
    with pytest.raises(ApiError):
        fetching.fetch(url, "image 1", ALLOWED)


def test_names_that_lead_to_private_addresses_are_refused():
    with pytest.raises(ApiError, match="public internet"):
        fetching.public_address("localhost", 80, "image 1")
