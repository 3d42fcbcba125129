"""Chiasm inside LangChain and LlamaIndex."""

import asyncio
import base64

import numpy as np
import pytest
from conftest import MODELS, PICTURES
from friends import EXAMPLES, example
from retrieval import noise, save, write

import chiasm
from chiasm import rag

pytest.importorskip("lancedb", reason='pip install "chiasm[rag]"')
WIDE = PICTURES / "wide.png"
MESSAGES = [
    {
        "role": "user",
        "content": [{"type": "image", "image": str(WIDE)}, {"type": "text", "text": "What?"}],
    }
]


@pytest.fixture(scope="module")
def embedder():
    return chiasm.load_embedder()


@pytest.fixture(scope="module")
def index(tmp_path_factory, embedder):
    root = tmp_path_factory.mktemp("files")
    write(root / "invoice_march.txt", "The amount due is 42 euros.")
    write(root / "fruit.txt", "Apples are red, bananas are yellow.")
    save(noise(3), root / "noise.png")
    made = rag.Index(tmp_path_factory.mktemp("db") / "my.lance", model=embedder)
    made.add(root)
    return made


@pytest.fixture(scope="module")
def seeing():
    return chiasm.load(MODELS / "smolvlm_2x2", dtype="float32")


class TestLangChain:
    @pytest.fixture(autouse=True)
    def installed(self):
        pytest.importorskip("langchain_core", reason='pip install "chiasm[langchain]"')

    def test_retriever(self, index):
        from chiasm.rag.langchain import IndexRetriever

        retriever = IndexRetriever(index=index, limit=2)
        (document,) = retriever.invoke("What does the invoice from March say?")
        assert document.page_content == "The amount due is 42 euros."
        assert document.metadata["path"].endswith("invoice_march.txt")
        (again,) = asyncio.run(retriever.ainvoke("bananas, yellow"))
        assert again.metadata["path"].endswith("fruit.txt")
        assert retriever.invoke("Who discovered penicillin?") == []

    def test_embeddings(self, embedder):
        from chiasm.rag.langchain import ChiasmEmbeddings

        made = ChiasmEmbeddings(embedder)
        texts = ["a dog", "a ship"]
        assert np.array_equal(np.float32(made.embed_documents(texts)), embedder.embed_text(texts))
        assert np.array_equal(np.float32(made.embed_query("a dog")), embedder.embed_text("a dog"))
        row = np.float32(made.embed_images([str(WIDE)]))[0]
        assert np.array_equal(row, embedder.embed_image(WIDE))

    def test_chat(self, seeing):
        from langchain_core.messages import ChatMessage, HumanMessage

        from chiasm.rag.langchain import ChatChiasm

        chat = ChatChiasm(model=seeing, settings={"max_tokens": 8})
        url = "data:image/png;base64," + base64.b64encode(WIDE.read_bytes()).decode()
        message = HumanMessage(
            [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": "What?"}]
        )
        want = seeing.generate(MESSAGES, max_tokens=8)
        out = chat.invoke([message])
        assert out.content == want.text
        assert out.usage_metadata["output_tokens"] == want.usage.completion_tokens
        assert "".join(piece.content for piece in chat.stream([message])) == want.text
        with pytest.raises(chiasm.RequestError, match="type chat"):
            chat.invoke([ChatMessage("x", role="y")])

    def test_a_chain(self, index, seeing):
        from langchain_core.output_parsers import StrOutputParser
        from langchain_core.prompts import ChatPromptTemplate
        from langchain_core.runnables import RunnablePassthrough

        from chiasm.rag.langchain import ChatChiasm, IndexRetriever

        prompt = ChatPromptTemplate.from_template("Sources: {sources}\nQuestion: {question}")
        chain = (
            {"sources": IndexRetriever(index=index), "question": RunnablePassthrough()}
            | prompt
            | ChatChiasm(model=seeing, settings={"max_tokens": 4})
            | StrOutputParser()
        )
        assert isinstance(chain.invoke("invoice March"), str)
        script = EXAMPLES.parent / "retrieval" / "langchain_chain.py"
        example(script, index.folder, MODELS / "smolvlm_2x2", "What does the invoice say?")


class TestLlamaIndex:
    @pytest.fixture(autouse=True)
    def installed(self):
        pytest.importorskip("llama_index.core", reason='pip install "chiasm[llama-index]"')

    def test_retriever(self, index):
        from chiasm.rag.llama_index import IndexRetriever

        retriever = IndexRetriever(index, limit=2)
        (node,) = retriever.retrieve("What does the invoice from March say?")
        assert node.text == "The amount due is 42 euros." and node.score > 0
        assert node.metadata["path"].endswith("invoice_march.txt")
        (again,) = asyncio.run(retriever.aretrieve("bananas, yellow"))
        assert again.metadata["path"].endswith("fruit.txt")

    def test_embeddings(self, embedder):
        from chiasm.rag.llama_index import ChiasmEmbedding

        made = ChiasmEmbedding(embedder)
        texts = ["a dog", "a ship"]
        rows = np.float32(made.get_text_embedding_batch(texts))
        assert np.array_equal(rows, embedder.embed_text(texts))
        assert np.array_equal(np.float32(made.get_query_embedding("a dog")), rows[0])
        row = np.float32(made.get_image_embedding(str(WIDE)))
        assert np.array_equal(row, embedder.embed_image(WIDE))
        later = asyncio.run(made.aget_query_embedding("a dog"))
        assert np.array_equal(np.float32(later), rows[0])

    def test_chat_and_completion(self, seeing):
        from llama_index.core.base.llms.types import ChatMessage, ImageBlock, TextBlock

        from chiasm.rag.llama_index import ChiasmLLM

        made = ChiasmLLM(seeing, max_tokens=8)
        message = ChatMessage(role="user", blocks=[ImageBlock(path=WIDE), TextBlock(text="What?")])
        want = seeing.generate(MESSAGES, max_tokens=8).text
        assert made.chat([message]).message.content == want
        pieces = list(made.stream_chat([message]))
        assert pieces[-1].message.content == want and "".join(p.delta for p in pieces) == want
        plain = seeing.generate([{"role": "user", "content": "What?"}], max_tokens=8).text
        assert made.complete("What?").text == plain
        assert list(made.stream_complete("What?"))[-1].text == plain
        assert made.metadata.context_window == seeing.info.max_context

    def test_a_query_engine(self, index, seeing):
        from llama_index.core import get_response_synthesizer
        from llama_index.core.query_engine import RetrieverQueryEngine

        from chiasm.rag.llama_index import ChiasmLLM, IndexRetriever

        made = ChiasmLLM(seeing, max_tokens=4)
        engine = RetrieverQueryEngine(
            IndexRetriever(index, limit=1), get_response_synthesizer(llm=made)
        )
        response = engine.query("What does the invoice from March say?")
        assert response.source_nodes[0].metadata["path"].endswith("invoice_march.txt")
