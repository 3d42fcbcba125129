"""The commands of retrieval and their options."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from chiasm.cli import options as o

Db = Annotated[str, typer.Option("--db", metavar="FOLDER", help="The index.")]
Embedder = Annotated[
    str | None,
    typer.Option(
        "--model",
        help="Embedder: a folder or hub id; by default that of the index, or the bundled model.",
        show_default=False,
    ),
]
TextEmbedder = Annotated[
    str | None,
    typer.Option("--text-model", help="Another embedder for texts.", show_default=False),
]
Kind = Annotated[
    list[str] | None,
    typer.Option("--kind", help="picture, page, passage, speech or frame; may be repeated."),
]
Where = Annotated[str, typer.Option("--where", help="A filter in SQL, as in 'width > 1000'.")]


def register(app: typer.Typer) -> None:
    app.command()(index)
    app.command()(search)
    app.command()(rag)


def index(
    places: Annotated[
        list[str], typer.Argument(metavar="PLACE", help="Folders with all in them, or files.")
    ],
    db: Db,
    model: Embedder = None,
    text_model: TextEmbedder = None,
    captions: Annotated[
        bool, typer.Option("--captions/--no-captions", help="Describe pictures in words too.")
    ] = True,
    captioner: Annotated[
        str | None,
        typer.Option(
            "--captioner", help="Who describes; by default the bundled model.", show_default=False
        ),
    ] = None,
    speech: Annotated[
        str | None,
        typer.Option("--speech", help="A model that transcribes sounds.", show_default=False),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option("--workers", min=1, max=256, help="Threads that decode; by default all."),
    ] = None,
    quantize: Annotated[str | None, typer.Option("--quantize", help="int8 or int4.")] = None,
    dtype: o.DType = "auto",
    threads: o.Threads = None,
    offline: o.Offline = False,
    json: o.Json = False,
) -> None:
    """Index pictures, PDFs, texts and sounds, to be searched; again: what has changed."""
    from chiasm.cli import index as build

    build.run(
        places,
        db,
        captioner=(captioner if captions else False),
        speech=speech,
        workers=workers,
        json=json,
        load=_load_settings(model, text_model, quantize, dtype, threads, offline),
    )


def search(
    query: Annotated[str | None, typer.Argument(metavar="[WORDS]", help="What to find.")] = None,
    db: Db = ...,  # type: ignore[assignment]
    image: Annotated[
        str | None, typer.Option("--image", help="A picture that those found should resemble.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Hits at most.")] = 10,
    mode: Annotated[
        str, typer.Option("--mode", help="hybrid, meaning (vectors) or words (full text).")
    ] = "hybrid",
    kind: Kind = None,
    where: Where = "",
    exact: Annotated[
        bool, typer.Option("--exact", help="Look at every vector, index or not.")
    ] = False,
    html: Annotated[
        bool, typer.Option("--html", help="Write a page with thumbnails, to --out or the output.")
    ] = False,
    json: o.Json = False,
    out: o.Out = None,
    threads: o.Threads = None,
    offline: o.Offline = False,
) -> None:
    """Find what an index holds, by words or by a picture."""
    from chiasm.cli import search as find

    find.run(
        query,
        db,
        image=image,
        format="html" if html else "json" if json else "table",
        out=out,
        search={
            "limit": limit,
            "mode": mode,
            "kinds": kind or (),
            "where": where,
            "exact": exact,
        },
        load={"threads": threads, "offline": offline, "progress": True},
    )


def rag(
    question: Annotated[str, typer.Argument(metavar="QUESTION", help="What to answer.")],
    db: Db,
    query: Annotated[
        str | None, typer.Option("--query", help="What to look for, if not the question.")
    ] = None,
    model: o.ModelName = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Sources at most.")] = 6,
    style: Annotated[
        str,
        typer.Option(
            "--style",
            help="together (all sources in one prompt), one (one after the other) or auto.",
        ),
    ] = "auto",
    rerank: Annotated[
        bool, typer.Option("--rerank", help="Have the model order what was found.")
    ] = False,
    min_similarity: Annotated[
        float | None,
        typer.Option("--min-similarity", help="Of a source's vector and the question's."),
    ] = None,
    mode: Annotated[
        str, typer.Option("--mode", help="hybrid, meaning (vectors) or words (full text).")
    ] = "hybrid",
    kind: Kind = None,
    where: Where = "",
    json: o.Json = False,
    out: o.Out = None,
    max_tokens: o.MaxTokens = 256,
    temperature: o.Temperature = 0.0,
    seed: o.Seed = None,
    quantize: Annotated[str | None, typer.Option("--quantize", help="int8 or int4.")] = None,
    dtype: o.DType = "auto",
    threads: o.Threads = None,
    max_context: o.MaxContext = None,
    offline: o.Offline = False,
) -> None:
    """Answer a question from an index, citing files and pages."""
    from chiasm.cli import rag as tell

    tell.run(
        question,
        db,
        model=model,
        style=style,
        rerank=rerank,
        json=json,
        out=out,
        retrieve={
            "limit": limit,
            "mode": mode,
            "kinds": kind or (),
            "where": where,
            "min_similarity": min_similarity,
        },
        load={
            "quantize": quantize,
            "dtype": dtype,
            "threads": threads,
            "max_context": max_context,
            "offline": offline,
        },
        settings={
            "query": query,
            "max_tokens": max_tokens,
            "temperature": temperature,
            "seed": seed,
        },
    )


def _load_settings(
    model: str | None,
    text_model: str | None,
    quantize: str | None,
    dtype: str,
    threads: int | None,
    offline: bool,
) -> dict[str, Any]:
    return locals() | {"progress": True}
