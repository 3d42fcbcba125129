"""Options that several commands share."""

from __future__ import annotations

import pathlib
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from chiasm.rag import Index

ModelName = Annotated[
    str | None,
    typer.Option(
        "--model", help="Model folder or hub id; by default the bundled model.", show_default=False
    ),
]
Device = Annotated[
    str,
    typer.Option(
        "--device", help="auto, cpu, cuda, cuda:N, several of these with commas, or cuda:all."
    ),
]
DType = Annotated[str, typer.Option("--dtype", help="Weights: auto, float32, bfloat16 or float16.")]
KvCache = Annotated[
    str, typer.Option("--kv-cache", help="Keys and values: auto, float32, bfloat16 or int8.")
]
Threads = Annotated[
    int | None,
    typer.Option("--threads", min=1, max=1024, help="CPU threads; by default all."),
]
MaxContext = Annotated[
    int | None, typer.Option("--max-context", min=1, help="Tokens that a request may hold.")
]
Offline = Annotated[bool, typer.Option("--offline", help="Fetch nothing from the hub.")]
Revision = Annotated[
    str | None, typer.Option("--revision", help="Branch, tag or commit on the hub.")
]
Json = Annotated[bool, typer.Option("--json", help="JSON for machines, one object a line.")]
Out = Annotated[
    pathlib.Path | None,
    typer.Option("--out", help="Write to this file; it appears whole or not at all."),
]
MaxTokens = Annotated[int, typer.Option("--max-tokens", min=1, help="Longest answer, in tokens.")]
Temperature = Annotated[
    float, typer.Option("--temperature", min=0.0, help="0: always the likeliest token.")
]
TopK = Annotated[int, typer.Option("--top-k", min=0, help="Draw from the k likeliest; 0: all.")]
TopP = Annotated[float, typer.Option("--top-p", help="Draw from the likeliest up to this sum.")]
MinP = Annotated[float, typer.Option("--min-p", help="Least share of the likeliest's chance.")]
Penalty = Annotated[float, typer.Option("--repetition-penalty", help="Over 1: repeat less.")]
Seed = Annotated[int | None, typer.Option("--seed", min=0, help="The same seed, the same answer.")]
Stop = Annotated[
    list[str] | None, typer.Option("--stop", help="Text that ends the answer; may be repeated.")
]
Beams = Annotated[
    int,
    typer.Option(
        "--beams", min=1, max=64, help="Answers followed side by side (beam search); 1: one."
    ),
]
Draft = Annotated[
    str | None,
    typer.Option(
        "--draft",
        help="A smaller model with the same vocabulary that guesses ahead: the same answers, sooner.",
    ),
]
Lora = Annotated[
    list[str] | None,
    typer.Option("--lora", help="A PEFT LoRA folder, or NAME=FOLDER; may be repeated."),
]
AdapterName = Annotated[
    str | None,
    typer.Option("--adapter", help="The --lora to answer with, by name; else the first."),
]

Mmproj = Annotated[
    str | None,
    typer.Option(
        "--mmproj", help="Of a .gguf model: its projector's file, or none; else the one beside it."
    ),
]

Videos = Annotated[
    list[str] | None,
    typer.Option("--video", help="A video file, or a folder of its frames; may be repeated."),
]
Fps = Annotated[
    float | None, typer.Option("--fps", help="Frames of a video to see for each second of it.")
]
NumFrames = Annotated[
    int | None, typer.Option("--num-frames", min=1, help="Frames of a video to see.")
]


def load(
    name: str | None,
    lora: list[str] | None = None,
    adapter: str | None = None,
    **settings: Any,
) -> Any:
    """`chiasm.load` with a bar, and with adapters: the one named `adapter` is in use, or the first."""
    import chiasm

    named = adapters(lora)
    model = chiasm.load(name, progress=True, lora=named, **settings)
    if adapter is not None and adapter not in named:
        raise chiasm.RequestError(
            f"--adapter {adapter}: no --lora of this name; there are {', '.join(named) or 'none'}"
        )
    model.adapter = adapter or next(iter(named), None)
    return model


def open_index(folder: str, threads: int | None, offline: bool) -> Index:
    """An index with its table opened and its models loaded: the first search waits for neither."""
    from chiasm.rag import Index

    index = Index(folder, threads=threads, offline=offline, progress=True)
    next(index.items(columns=["id"]), None)
    assert index.embedders is not None
    return index


def adapters(lora: list[str] | None) -> dict[str, str]:
    """Folders by name, of NAME=FOLDER or of FOLDER, whose own name it is then."""
    from chiasm.errors import RequestError

    named: dict[str, str] = {}
    for text in lora or []:
        name, equals, folder = text.partition("=")
        if not equals or "/" in name:
            name, folder = pathlib.Path(text).resolve().name, text
        if not name or name in named:
            raise RequestError(f"--lora {text}: {'two of one name' if name else 'has no name'}")
        named[name] = folder
    return named


def load_settings(
    device: str,
    dtype: str,
    kv_cache: str,
    threads: int | None,
    max_context: int | None,
    revision: str | None,
    offline: bool,
    lora: list[str] | None = None,
    adapter: str | None = None,
    mmproj: str | None = None,
    draft: str | None = None,
) -> dict[str, Any]:
    """What `load` takes of the options, by name."""
    return locals()


def generate_settings(
    max_tokens: int,
    temperature: float,
    top_k: int,
    top_p: float,
    min_p: float,
    repetition_penalty: float,
    seed: int | None,
    stop: list[str] | None,
    num_beams: int = 1,
) -> dict[str, Any]:
    """What `generate` takes of the options, by name."""
    return locals()
