"""A picture in LangChain, in this process: words as they come, then an answer of a given form:
pip install "chiasm[langchain]".

    python langchain_picture.py photo.jpg [path/to/model]
"""

import sys
from typing import Literal

from langchain_core.messages import HumanMessage
from pydantic import BaseModel

import chiasm
from chiasm.rag.langchain import ChatChiasm

Kind = Literal["airplane", "bird", "car", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]


class Seen(BaseModel):
    """What a picture shows."""

    kind: Kind


def main(picture: str, model: str | None = None) -> None:
    chat = ChatChiasm(model=chiasm.load(model), settings={"max_tokens": 64})
    items = [
        {"type": "image_url", "image_url": {"url": picture}},
        {"type": "text", "text": "What is in this picture?"},
    ]
    messages = [HumanMessage(items)]

    print("words: ", end="")
    for piece in chat.stream(messages):
        print(piece.content, end="", flush=True)

    print("\nform:", chat.with_structured_output(Seen).invoke(messages).model_dump_json())


main(*sys.argv[1:])
