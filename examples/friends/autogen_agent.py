"""An AutoGen agent that looks closer at a part of a picture before it answers. Its model, and what its tool
sees with, is a Chiasm server: pip install autogen-agentchat "autogen-ext[openai]".

    chiasm serve --name mini
    python autogen_agent.py http://127.0.0.1:8000/v1 mini photo.jpg
"""

import asyncio
import sys
from collections.abc import Sequence
from typing import Any, Literal

import PIL.Image
from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.messages import MultiModalMessage
from autogen_core import Image
from autogen_core.models import CreateResult, LLMMessage, ModelInfo, UserMessage
from autogen_ext.models.openai import OpenAIChatCompletionClient

QUESTION = "What is in this picture?"
CAN = ModelInfo(
    vision=True, function_calling=True, json_output=True, structured_output=True, family="unknown"
)


class Held(OpenAIChatCompletionClient):
    """A small model calls no tools of its own accord. Where there are tools its answer is held to the
    form of a call; which one, and with what, is still the model's to say."""

    async def create(self, messages: Sequence[LLMMessage], **settings: Any) -> CreateResult:
        if settings.get("tools"):
            settings["tool_choice"] = "required"
        return await super().create(messages, **settings)


async def main(url: str, model: str, file: str) -> None:
    client = Held(model=model, base_url=url, api_key="none", model_info=CAN, temperature=0)
    picture = PIL.Image.open(file).convert("RGB")
    w, h = picture.size
    parts = {
        "left": (0, 0, w // 2, h),
        "right": (w // 2, 0, w, h),
        "top": (0, 0, w, h // 2),
        "bottom": (0, h // 2, w, h),
    }

    async def look(part: Literal["left", "right", "top", "bottom"]) -> str:
        """Look closer at a part of the picture."""
        closer = UserMessage(content=[Image(picture.crop(parts[part])), QUESTION], source="user")
        seen = await client.create([closer])
        return f"{part}: {seen.content}"

    agent = AssistantAgent("onlooker", client, tools=[look], system_message=None)
    task = MultiModalMessage(content=[Image(picture), QUESTION], source="user")
    said = await agent.run(task=task)
    for message in said.messages[1:]:
        print(f"{message.type}: {message.to_text()}")
    await client.close()


asyncio.run(main(*sys.argv[1:]))
