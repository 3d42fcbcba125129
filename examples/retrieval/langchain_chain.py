"""A LangChain chain over an index: pip install "chiasm[langchain]".

    python langchain_chain.py my.lance path/to/model "What does the invoice from March say?"
"""

import sys

from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnablePassthrough

import chiasm
from chiasm import rag
from chiasm.rag.langchain import ChatChiasm, IndexRetriever


def written(documents) -> str:
    return "\n\n".join(
        f"[{i}] {document.metadata['path']}:\n{document.page_content}"
        for i, document in enumerate(documents, 1)
    )


def main() -> None:
    db, model, question = sys.argv[1:]
    prompt = ChatPromptTemplate.from_template(
        "{sources}\n\nAnswer from these sources alone and cite them as [1].\nQuestion: {question}"
    )
    chain = (
        {"sources": IndexRetriever(index=rag.Index(db)) | written, "question": RunnablePassthrough()}
        | prompt
        | ChatChiasm(model=chiasm.load(model), settings={"max_tokens": 128})
        | StrOutputParser()
    )
    print(chain.invoke(question))


if __name__ == "__main__":
    main()
