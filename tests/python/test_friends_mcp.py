"""`chiasm mcp` through the SDK's own client, as another program meets it."""

import asyncio
import base64
import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys

import pytest
from conftest import GOLDEN, needs_ffmpeg
from friends import CAT, DOG, QUIET, example
from retrieval import save, write

import chiasm

mcp = pytest.importorskip("mcp", reason='pip install "chiasm[mcp]"')
from chiasm.cli import main as command  # noqa: E402
from chiasm.mcp import create_server  # noqa: E402

COMMAND = [sys.executable, "-m", "chiasm", "mcp"]
START = {
    "jsonrpc": "2.0",
    "id": 0,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    },
}


@pytest.fixture(scope="module")
def model():
    return chiasm.load()


@pytest.fixture
def folder(tmp_path):
    """A folder with two photographs, and what is beside it."""
    inside = tmp_path / "inside"
    (inside / "deep").mkdir(parents=True)
    (inside / "dog.jpg").write_bytes(pathlib.Path(DOG).read_bytes())
    (inside / "deep" / "cat.png").write_bytes(pathlib.Path(CAT).read_bytes())
    (tmp_path / "secret.jpg").write_bytes(pathlib.Path(DOG).read_bytes())
    return inside


@contextlib.asynccontextmanager
async def connected(*arguments, cwd=None):
    server = mcp.StdioServerParameters(
        command=COMMAND[0],
        args=[*COMMAND[1:], *map(str, arguments)],
        env=dict(os.environ) | QUIET,
        cwd=cwd,
    )
    async with mcp.Client(server) as client:
        yield client


def words(result) -> str:
    assert not result.is_error, result.content
    (block,) = result.content
    return block.text


def refusal(result) -> str:
    assert result.is_error
    return result.content[0].text


def test_tools_answer_as_the_library(folder, model):
    url = "data:image/jpeg;base64," + base64.b64encode(pathlib.Path(DOG).read_bytes()).decode()

    async def main():
        async with connected("--folder", folder) as client:
            tools = {tool.name: tool for tool in (await client.list_tools()).tools}
            assert set(tools) == {"caption", "ask"}, "there is no index to search"
            assert tools["ask"].input_schema["required"] == ["picture", "question"]
            assert tools["ask"].annotations.read_only_hint
            assert str(folder) in client.instructions
            for name in ("dog.jpg", folder / "dog.jpg", (folder / "dog.jpg").as_uri(), url):
                got = await client.call_tool("caption", {"picture": str(name)})
                assert words(got) == model.caption(DOG)
            question = {"picture": "deep/cat.png", "question": "What is in this picture?"}
            asked = [client.call_tool("ask", question) for _ in range(4)]
            for got in await asyncio.gather(*asked):  # one batch
                assert words(got) == model.ask(CAT, question["question"])
                assert got.structured_content == {"result": words(got)}
            short = await client.call_tool("caption", {"picture": "dog.jpg", "max_tokens": 2})
            assert words(short) == model.caption(DOG, max_tokens=2)

    asyncio.run(main())


def test_what_is_refused_is_a_result_and_the_server_goes_on(folder, model, tmp_path):
    (folder / "out.jpg").symlink_to(tmp_path / "secret.jpg")
    (folder / "way").symlink_to(tmp_path)
    (folder / "notes.txt").write_text("no picture")
    os.mkfifo(folder / "pipe.jpg")
    outside = "outside the folders"
    cases = [
        ({"picture": str(tmp_path / "secret.jpg")}, outside),
        ({"picture": "../secret.jpg"}, outside),
        ({"picture": "out.jpg"}, outside),
        ({"picture": "way/secret.jpg"}, outside),
        ({"picture": "way/no-such.jpg"}, outside),
        ({"picture": "/etc/passwd"}, outside),
        ({"picture": "file:///etc/passwd"}, outside),
        ({"picture": "https://example.com/dog.jpg"}, "nothing is fetched"),
        ({"picture": "no-such.jpg"}, "no such file"),
        ({"picture": "deep"}, "no plain file"),
        ({"picture": "pipe.jpg"}, "no plain file"),
        ({"picture": ""}, "no plain file"),
        ({"picture": "a\0b"}, "not a path"),
        ({"picture": "x" * 10_000}, "no such file"),
        ({"picture": "notes.txt"}, "notes.txt"),
        ({"picture": "data:image/png;base64,????"}, "base64"),
        ({"picture": "data:"}, "comma"),
        ({"picture": "data:,inside/clip.mp4"}, "image 1"),
        ({"picture": "dog.jpg", "max_tokens": 0}, "max_tokens"),
        ({"picture": "dog.jpg", "max_tokens": 10**9}, "context"),
        ({"picture": 3}, "picture"),
        ({}, "picture"),
    ]

    async def main():
        async with connected("--folder", folder) as client:
            for arguments, said in cases:
                assert said in refusal(await client.call_tool("caption", arguments)), arguments
            assert "question" in refusal(await client.call_tool("ask", {"picture": "dog.jpg"}))
            with contextlib.suppress(
                mcp.MCPError
            ):  # unknown tools may also be errors of the protocol
                assert refusal(await client.call_tool("search", {"query": "a dog"}))
            got = await client.call_tool("caption", {"picture": "dog.jpg"})
            assert words(got) == model.caption(DOG)

    asyncio.run(main())


def test_the_current_folder_is_the_one_that_is_read(folder, tmp_path, model):
    async def main():
        async with connected(cwd=folder) as client:
            got = await client.call_tool("caption", {"picture": "dog.jpg"})
            assert words(got) == model.caption(DOG)
        async with mcp.Client(create_server(model, [folder / "deep", folder])) as client:
            for name in ("cat.png", "dog.jpg"):
                assert not (await client.call_tool("caption", {"picture": name})).is_error
            away = {"picture": str(tmp_path / "secret.jpg")}
            assert "outside" in refusal(await client.call_tool("caption", away))

    asyncio.run(main())


def test_search(tmp_path, model):
    pytest.importorskip("lancedb", reason='pip install "chiasm[rag]"')
    import numpy as np
    from drawn import scene

    from chiasm import rag

    root, rng = tmp_path / "files", np.random.default_rng(3)
    for i in range(6):
        save(scene(rng)[0], root / f"scene_{i}.png")
    write(root / "harbour.md", "# Harbour\n\nThe ferry leaves at nine and costs four euros.\n")
    db = tmp_path / "my.lance"
    index = rag.Index(db)
    index.add(root)

    async def main():
        async with mcp.Client(create_server(model, [root], index=index)) as client:
            assert "search" in [tool.name for tool in (await client.list_tools()).tools]
            got = await client.call_tool(
                "search", {"query": "When does the ferry leave?", "limit": 3}
            )
            hits = got.structured_content["result"]
            want = index.search("When does the ferry leave?", limit=3)
            assert [hit["file"] for hit in hits] == [hit.path for hit in want]
            assert "leaves at nine" in hits[0]["words"] and len(got.content) == 3
            assert json.loads(got.content[0].text) == hits[0]
            only = {"picture": "scene_4.png", "kinds": ["picture"], "limit": 1}
            (hit,) = (await client.call_tool("search", only)).structured_content["result"]
            assert hit["file"].endswith("scene_4.png") and hit["similarity"] > 0.99
            assert "nothing to search for" in refusal(await client.call_tool("search", {}))
            assert "kinds" in refusal(
                await client.call_tool("search", {"query": "x", "kinds": ["y"]})
            )
            away = {"picture": str(db / "chiasm.json")}
            assert "outside" in refusal(await client.call_tool("search", away))

    asyncio.run(main())
    asked = (
        "mcp_client.py",
        root,
        "scene_4.png",
        "What is this?",
        db,
        "When does the ferry leave?",
    )
    out = example(*asked)
    assert out["tools"] == "caption, ask, search" and out["found"]
    assert out["caption"] == model.caption(root / "scene_4.png")
    assert out["answer"] == model.ask(root / "scene_4.png", "What is this?")


def test_nothing_but_the_protocol_on_standard_output(folder):
    """Also where the input is none, and at its end the server ends."""
    lines = ["no JSON", "{}", '{"jsonrpc": "2.0", "id": 1, "method": "no/such"}', "[" * 10_000]
    ping = {"jsonrpc": "2.0", "id": 2, "method": "ping"}
    sent = "\n".join([json.dumps(START), *lines, json.dumps(ping), ""])
    done = subprocess.run(
        [*COMMAND, "--folder", folder], input=sent, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    replies = {reply.get("id"): reply for reply in map(json.loads, done.stdout.splitlines())}
    assert replies[0]["result"]["serverInfo"]["name"] == "chiasm"
    assert all(reply["jsonrpc"] == "2.0" for reply in replies.values())


def test_ctrl_c_ends_a_server_that_waits(folder):
    with subprocess.Popen(
        [*COMMAND, "--folder", folder],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as server:
        server.stdin.write(json.dumps(START) + "\n")
        server.stdin.flush()
        assert json.loads(server.stdout.readline())["id"] == 0
        server.send_signal(signal.SIGINT)
        assert server.wait(30) == 130
        assert server.stderr.read() == "chiasm: error: interrupted\n"


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["--folder", "no-such"], "no folder"),
        (["--model", "no-such"], "no-such"),
        (["--db", "no-such"], "no index"),
    ],
)
def test_what_cannot_be_served_is_one_line(arguments, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert command(["mcp", *arguments]) == 1
    shown = capsys.readouterr()
    assert shown.out == "" and said in shown.err and shown.err.count("\n") == 1


def test_a_call_that_is_given_up_leaves_the_batch(models, monkeypatch):
    from chiasm._folders import Folders
    from chiasm.mcp import Tools

    random, streams = models("smolvlm_2x2"), []
    stream = random.stream
    endless = {"max_tokens": 10**9, "context_overflow": "slide", "ignore_eos": True}

    def watched(messages, **settings):
        streams.append(stream(messages, **endless))
        return streams[-1]

    monkeypatch.setattr(random, "stream", watched)

    async def main():
        tools = Tools(random, Folders([pathlib.Path(DOG).parent]))
        call = asyncio.create_task(tools.caption("dog.jpg"))
        while not streams:
            await asyncio.sleep(0)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call

    asyncio.run(main())
    (given_up,) = streams
    assert given_up.result is None
    assert not given_up._thread.is_alive()


@needs_ffmpeg
def test_videos(models):
    clip = GOLDEN / "video" / "clip.mp4"
    random = models("smolvlm_2x2")
    want = random.ask(chiasm.Video(str(clip)), "What happens?", max_tokens=4)

    async def main():
        async with mcp.Client(create_server(random, [clip.parent])) as client:
            for name in ("clip.mp4", str(clip)):
                question = {"picture": name, "question": "What happens?", "max_tokens": 4}
                assert words(await client.call_tool("ask", question)) == want

    asyncio.run(main())
