"""Indexes folders, finds pictures by words and answers a question with its sources.

    python find_and_ask.py my.lance "a photo of a dog" "What is in this picture?" holiday/ papers/
"""

import sys

from chiasm import rag


def main() -> None:
    db, query, question, *folders = sys.argv[1:]
    index = rag.Index(db)
    if folders:
        report = index.add(*folders, on_problem=lambda p: print(f"skipped {p.path}: {p.what}"))
        print(f"{report.added} added, {report.changed} changed, {report.removed} removed")
    for hit in index.search(query, limit=5):
        print(f"{hit.score:.3f}  {hit.kind:<8}  {hit.name}")
    told = rag.answer(question, index, query=query)
    print(told.text)
    for source in told.citations:
        print(f"[{source.number}] {source.name}")


if __name__ == "__main__":
    main()
