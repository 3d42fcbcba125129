"""`chiasm explain`: an answer about a picture, and where each of its words looked."""

from __future__ import annotations

import pathlib
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from chiasm.cli import options as o
from chiasm.cli.output import binary_output, json_line, printable

if TYPE_CHECKING:
    import chiasm

_FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}


def explain(
    picture: Annotated[str, typer.Argument(metavar="PICTURE", help="A picture file.")],
    question: Annotated[
        str, typer.Argument(metavar="[QUESTION]", help="What to ask; by default for a caption.")
    ] = "Describe this image.",
    output: Annotated[
        pathlib.Path | None,
        typer.Option(
            "--output",
            "--out",
            help="Draw a heat map for each word into this PNG, JPEG or WebP file.",
        ),
    ] = None,
    tokens: Annotated[
        bool, typer.Option("--tokens", help="Draw one for each token instead of each word.")
    ] = False,
    layers: Annotated[
        str | None,
        typer.Option("--layers", help="Layers of the decoder from 0, as in 4,5; by default all."),
    ] = None,
    model: o.ModelName = None,
    json: o.Json = False,
    max_tokens: o.MaxTokens = 64,
    lora: o.Lora = None,
    adapter: o.AdapterName = None,
    device: o.Device = "auto",
    dtype: o.DType = "auto",
    kv_cache: o.KvCache = "auto",
    threads: o.Threads = None,
    max_context: o.MaxContext = None,
    revision: o.Revision = None,
    offline: o.Offline = False,
) -> None:
    """Answer about a picture and show how much of each word's attention went to the picture, and where
    in it with --output."""
    _run(
        picture,
        question,
        _numbers(layers),
        output=output,
        tokens=tokens,
        json=json,
        max_tokens=max_tokens,
        model=lambda: o.load(
            model,
            **o.load_settings(
                device, dtype, kv_cache, threads, max_context, revision, offline, lora, adapter
            ),
        ),
    )


def _run(
    picture: str,
    question: str,
    layers: list[int] | None,
    *,
    output: pathlib.Path | None,
    tokens: bool,
    json: bool,
    max_tokens: int,
    model: Any,
) -> None:
    from chiasm.errors import RequestError

    if output is not None and output.suffix.lower() not in _FORMATS:
        raise RequestError(f"--output {output}: expected a name in {', '.join(_FORMATS)}")
    told: chiasm.Explanation = model().explain(
        picture, question, layers=layers, max_tokens=max_tokens
    )
    if output is not None:
        drawn = told.draw(picture, tokens=tokens)
        with binary_output(output) as to:
            drawn.save(to, _FORMATS[output.suffix.lower()])
    if json:
        print(json_line({"picture": picture, **told.as_dict()}))
        return
    print(printable(told.result.text.strip(), sys.stdout))
    for word in told.as_dict()["words"]:
        print(printable(f"{word['picture']:7.1%}  {word['text']}", sys.stdout))


def _numbers(layers: str | None) -> list[int] | None:
    """The numbers in "4,5"."""
    from chiasm.errors import RequestError

    if layers is None:
        return None
    try:
        return [int(part) for part in layers.split(",")]
    except ValueError:
        raise RequestError(f"--layers {layers}: expected numbers, as in 4,5") from None
