"""A picture in LlamaIndex, in this process: words as they come, an answer of a given form, and the picture
found again among others by words: pip install "chiasm[llama-index]".

    python llama_index_picture.py photo.jpg other.jpg another.jpg
"""

import sys
from typing import Literal

from llama_index.core.base.llms.types import ChatMessage, ImageBlock, TextBlock
from pydantic import BaseModel

import chiasm
from chiasm.rag.llama_index import ChiasmEmbedding, ChiasmLLM

Kind = Literal["airplane", "bird", "car", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]


class Seen(BaseModel):
    """What a picture shows."""

    kind: Kind


def main(picture: str, *others: str) -> None:
    llm = ChiasmLLM(chiasm.load(), max_tokens=64)
    blocks = [ImageBlock(path=picture), TextBlock(text="What is in this picture?")]
    messages = [ChatMessage(role="user", blocks=blocks)]

    print("words: ", end="")
    for piece in llm.stream_chat(messages):
        print(piece.delta, end="", flush=True)

    seen = llm.as_structured_llm(Seen).chat(messages).raw
    print("\nform:", seen.model_dump_json())

    embedding = ChiasmEmbedding(chiasm.load_embedder())
    words = embedding.get_query_embedding(f"a photo of a {seen.kind}")
    pictures = [picture, *others]
    vectors = embedding.get_image_embedding_batch(pictures)
    fits = [embedding.similarity(words, vector) for vector in vectors]
    print("nearest:", pictures[fits.index(max(fits))])


main(*sys.argv[1:])
