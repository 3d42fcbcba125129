"""The web page in a real browser, where there is one, and `chiasm serve` as a process."""

import json
import pathlib
import re
import signal
import subprocess
import sys
import time
import urllib.request

import pytest
from conftest import MODELS, PICTURES
from serving import serving, shot

import chiasm
from chiasm.server import Models, chat

ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture(scope="module")
def server():
    with serving(Models(chat=chiasm.load(), chat_name="mini")) as running:
        yield running


def test_the_page_asks_for_nothing_from_elsewhere(server):
    with urllib.request.urlopen(server.url) as response:
        assert "default-src 'self'" in response.headers["content-security-policy"]
        html = response.read().decode()
    files = re.findall(r'(?:src|href)="(/[^"]*)"', html)
    assert len(files) > 3
    for file in {*files, "/page/api.js", "/page/store.js", "/page/view.js", "/page/media.js"}:
        with urllib.request.urlopen(server.url + file) as response:
            assert response.headers["x-content-type-options"] == "nosniff"
            assert not re.search(rb"https?://(?!www\.w3\.org)", response.read())
    for path in ("/page/../app.py", "/page/%2e%2e%2fapp.py", "/page/nothing.js"):
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(server.url + path)


@pytest.fixture
def page(browser, server):
    context = browser.new_context(viewport={"width": 1100, "height": 760})
    page = context.new_page()
    problems = []
    page.on("pageerror", lambda e: problems.append(str(e)))
    page.goto(server.url)
    page.wait_for_selector("#model:text-is('mini')")
    yield page
    context.close()
    assert problems == []


def test_a_picture_is_asked_about(page, server):
    page.set_input_files("#files", str(PICTURES / "wide.png"))
    page.wait_for_selector("#shelf img")
    page.fill("#words", "What is this?")
    shot(page, "asked")
    page.keyboard.press("Enter")
    page.wait_for_selector("article.assistant .facts")
    facts = page.text_content("article.assistant .facts")
    assert "of pictures" in facts and "first after" in facts
    assert page.query_selector("article.user .pictures img") and not page.query_selector(".wrong")
    shot(page, "answered")
    page.reload()
    page.wait_for_selector("#chats .open")
    page.click("#chats .open")
    assert page.text_content("article.user .words") == "What is this?"
    page.fill("#words", "And now?")
    page.keyboard.press("Enter")
    page.locator("article.assistant .facts").nth(1).wait_for()
    assert not page.query_selector(".wrong")


def test_an_answer_is_stopped(browser, monkeypatch):
    """By a model of random weights, which says much, and slowly here."""

    def slow(*given):
        *others, receive, flag = given
        return answer(*others, lambda piece: time.sleep(0.02) or receive(piece), flag)

    answer = chat.answer
    monkeypatch.setattr(chat, "answer", slow)
    with serving(Models(chat=chiasm.load(MODELS / "smolvlm_2x2"), chat_name="mini")) as server:
        context = browser.new_context()
        page = context.new_page()
        page.goto(server.url)
        page.wait_for_selector("#model:text-is('mini')")
        page.click("#tune")
        page.fill("[name=temperature]", "2")
        page.fill("[name=seed]", "1")
        shot(page, "settings")
        page.keyboard.press("Escape")
        page.fill("#words", "Tell me a long story.")
        page.keyboard.press("Enter")
        page.wait_for_selector("article.busy .words:not(:empty)")
        page.keyboard.press("Escape")
        page.wait_for_selector(".facts:has-text('stopped')")
        page.wait_for_selector("#send:visible")
        assert server.idle(5)
        context.close()


def test_errors_are_shown(page):
    page.set_input_files(
        "#files", {"name": "no.png", "mimeType": "image/png", "buffer": b"no picture"}
    )
    page.wait_for_selector("#shelf img")
    page.fill("#words", "What is this?")
    page.keyboard.press("Enter")
    page.wait_for_selector(".wrong")
    assert "image 1" in page.text_content(".wrong")
    shot(page, "wrong")
    page.fill("#words", "Never mind. Hi!")
    page.keyboard.press("Enter")
    page.wait_for_selector("article.assistant .facts")


def test_on_a_phone_and_in_the_dark(browser, server):
    context = browser.new_context(
        viewport={"width": 390, "height": 800}, has_touch=True, color_scheme="dark"
    )
    page = context.new_page()
    page.goto(server.url)
    page.wait_for_selector("html[data-theme=dark]")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    shot(page, "phone")
    page.fill("#words", "Hi")
    page.tap("#send")
    page.wait_for_selector("article.assistant .facts")
    page.tap("#menu")
    page.wait_for_selector("#side.open")
    page.wait_for_timeout(300)
    shot(page, "phone-menu")
    page.click("#new")
    page.wait_for_selector("#side:not(.open)", state="attached")
    context.close()


def start(*arguments):
    process = subprocess.Popen(
        [sys.executable, "-m", "chiasm", "serve", "--port", "0", *arguments],
        stderr=subprocess.PIPE,
        text=True,
    )
    line = process.stderr.readline()
    found = re.search(r"http://[^ ]*:[0-9]+", line)
    assert found, line + process.stderr.read()
    return process, found.group()


def test_the_readmes_curl_lines_work():
    """As they stand, but for the port, the model's name and the picture's bytes."""
    import base64

    block = re.search(r"## Server\n```sh\n(.*?)```", (ROOT / "README.md").read_text(), re.S).group(
        1
    )
    commands = re.findall(r"^curl .*?(?=^curl |^chiasm |\Z)", block, re.S | re.M)
    assert commands
    process, url = start("--name", "MODEL")
    try:
        picture = base64.b64encode((PICTURES / "wide.png").read_bytes()).decode()
        for command in commands:
            command = command.replace("http://127.0.0.1:8000", url).replace(
                "base64,...", f"base64,{picture}"
            )
            done = subprocess.run(
                ["bash", "-c", command.replace("curl ", "curl -sS ", 1)],
                capture_output=True,
                text=True,
                timeout=60,
            )
            assert done.returncode == 0, done.stderr
            answer = json.loads(done.stdout)
            assert "error" not in answer and answer["object"] in ("chat.completion", "list"), answer
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 0


def test_a_stop_lets_running_requests_finish():
    endless = str(MODELS / "llama_tied")  # random weights that never say the end token
    process, url = start("--name", "m", "--grace", "20", "--model", endless)
    body = {"model": "m", "prompt": "A dog", "max_tokens": 1900, "temperature": 0, "stream": True}
    request = urllib.request.Request(
        f"{url}/v1/completions",
        json.dumps(body).encode(),
        {"content-type": "application/json"},
    )
    with urllib.request.urlopen(request) as response:
        response.readline()
        process.send_signal(signal.SIGTERM)
        time.sleep(0.1)
        rest = response.read().decode()
    assert rest.endswith("data: [DONE]\n\n") and '"finish_reason": "length"' in rest
    assert process.wait(timeout=20) == 0
    with pytest.raises(OSError):
        urllib.request.urlopen(f"{url}/health")


def test_a_second_signal_stops_at_once():
    process, url = start("--name", "m")
    urllib.request.urlopen(f"{url}/health").close()
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=20) in (0, 130)


def test_a_port_that_is_taken(server):
    done = subprocess.run(
        [sys.executable, "-m", "chiasm", "serve", "--port", str(server.port)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert "cannot be listened at" in done.stderr.splitlines()[-1]
