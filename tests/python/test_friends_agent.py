"""An agent of AutoGen over a server of ours: it sees a picture, calls a tool that looks closer, and tells
what that saw."""

import PIL.Image
import pytest
from friends import SCENE, example
from serving import serving

import chiasm

pytest.importorskip(
    "autogen_agentchat", reason='pip install autogen-agentchat "autogen-ext[openai]"'
)
from chiasm.server import Models  # noqa: E402


def test_the_example():
    model = chiasm.load()
    with serving(Models(chat=model, chat_name="mini")) as server:
        out = example("autogen_agent.py", f"{server.url}/v1", "mini", SCENE)
    part, told = out["ToolCallSummaryMessage"].split(": ", 1)
    picture = PIL.Image.open(SCENE).convert("RGB")
    w, h = picture.size
    box = {
        "left": (0, 0, w // 2, h),
        "right": (w // 2, 0, w, h),
        "top": (0, 0, w, h // 2),
        "bottom": (0, h // 2, w, h),
    }[part]
    assert told == model.ask(picture.crop(box), "What is in this picture?")
    assert part in out["ToolCallRequestEvent"]
