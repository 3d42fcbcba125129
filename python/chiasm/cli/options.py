"""Options that several commands share."""

from __future__ import annotations

import pathlib
from typing import Annotated, Any

import typer

ModelName = Annotated[
    str | None,
    typer.Option(
        "--model", help="Model folder or hub id; by default the bundled model.", show_default=False
    ),
]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or cuda:N.")]
DType = Annotated[str, typer.Option("--dtype", help="Weights: auto, float32, bfloat16 or float16.")]
KvCache = Annotated[
    str, typer.Option("--kv-cache", help="Keys and values: auto, float32 or bfloat16.")
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


def load(name: str | None, **settings: Any) -> Any:
    """`chiasm.load` with a bar."""
    import chiasm

    return chiasm.load(name, progress=True, **settings)


def load_settings(
    device: str,
    dtype: str,
    kv_cache: str,
    threads: int | None,
    max_context: int | None,
    revision: str | None,
    offline: bool,
) -> dict[str, Any]:
    """What `chiasm.load` takes of the options, by name."""
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
) -> dict[str, Any]:
    """What `generate` takes of the options, by name."""
    return locals()
