"""The commands and their options."""

from __future__ import annotations

import pathlib
from typing import Annotated, Any

import typer

from chiasm.cli import options as o
from chiasm.cli import retrieval
from chiasm.cli.explain import explain
from chiasm.cli.mcp import mcp
from chiasm.cli.serve import serve
from chiasm.cli.speech import transcribe
from chiasm.cli.verify import verify

_app = typer.Typer(
    help="Pictures and words in, words out.",
    no_args_is_help=False,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Pictures = Annotated[
    list[str],
    typer.Argument(metavar="PICTURE", help="Picture and video files, or folders of pictures."),
]


def command() -> Any:
    """The command line as a click command."""
    return typer.main.get_command(_app)


@_app.callback(invoke_without_command=True)
def _top(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False,
) -> None:
    if version:
        from chiasm._chiasm import __version__

        print(f"chiasm {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        context.fail("name a command; chiasm --help lists them")


@_app.command()
def caption(
    pictures: Pictures,
    fps: o.Fps = None,
    num_frames: o.NumFrames = None,
    model: o.ModelName = None,
    json: o.Json = False,
    out: o.Out = None,
    max_tokens: o.MaxTokens = 128,
    temperature: o.Temperature = 0.0,
    top_k: o.TopK = 0,
    top_p: o.TopP = 1.0,
    min_p: o.MinP = 0.0,
    repetition_penalty: o.Penalty = 1.0,
    seed: o.Seed = None,
    stop: o.Stop = None,
    beams: o.Beams = 1,
    lora: o.Lora = None,
    adapter: o.AdapterName = None,
    mmproj: o.Mmproj = None,
    draft: o.Draft = None,
    device: o.Device = "auto",
    dtype: o.DType = "auto",
    kv_cache: o.KvCache = "auto",
    threads: o.Threads = None,
    max_context: o.MaxContext = None,
    revision: o.Revision = None,
    offline: o.Offline = False,
) -> None:
    """Describe pictures and videos."""
    from chiasm.cli import answer

    answer.run(
        None,
        pictures,
        [],
        model=model,
        json=json,
        out=out,
        frames={"fps": fps, "num_frames": num_frames},
        load=o.load_settings(
            device,
            dtype,
            kv_cache,
            threads,
            max_context,
            revision,
            offline,
            lora,
            adapter,
            mmproj,
            draft,
        ),
        settings=o.generate_settings(
            max_tokens, temperature, top_k, top_p, min_p, repetition_penalty, seed, stop, beams
        ),
    )


@_app.command()
def ask(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="[PICTURE]... QUESTION",
            help="Picture and video files, or folders of pictures; the question comes last.",
        ),
    ],
    audio: Annotated[
        list[str] | None,
        typer.Option("--audio", help="A sound file that the question is about; may be repeated."),
    ] = None,
    video: o.Videos = None,
    fps: o.Fps = None,
    num_frames: o.NumFrames = None,
    model: o.ModelName = None,
    boxes: Annotated[
        bool,
        typer.Option(
            "--boxes", help="Also the boxes and points in the answer, in pixels of the picture."
        ),
    ] = False,
    json: o.Json = False,
    out: o.Out = None,
    max_tokens: o.MaxTokens = 128,
    temperature: o.Temperature = 0.0,
    top_k: o.TopK = 0,
    top_p: o.TopP = 1.0,
    min_p: o.MinP = 0.0,
    repetition_penalty: o.Penalty = 1.0,
    seed: o.Seed = None,
    stop: o.Stop = None,
    beams: o.Beams = 1,
    lora: o.Lora = None,
    adapter: o.AdapterName = None,
    mmproj: o.Mmproj = None,
    draft: o.Draft = None,
    device: o.Device = "auto",
    dtype: o.DType = "auto",
    kv_cache: o.KvCache = "auto",
    threads: o.Threads = None,
    max_context: o.MaxContext = None,
    revision: o.Revision = None,
    offline: o.Offline = False,
) -> None:
    """Ask a question, of each picture or video, of all sounds together, or of nothing."""
    from chiasm.cli import answer

    answer.run(
        words[-1],
        words[:-1],
        video or [],
        sounds=audio or [],
        boxes=boxes,
        model=model,
        json=json,
        out=out,
        frames={"fps": fps, "num_frames": num_frames},
        load=o.load_settings(
            device,
            dtype,
            kv_cache,
            threads,
            max_context,
            revision,
            offline,
            lora,
            adapter,
            mmproj,
            draft,
        ),
        settings=o.generate_settings(
            max_tokens, temperature, top_k, top_p, min_p, repetition_penalty, seed, stop, beams
        ),
    )


@_app.command()
def chat(
    model: o.ModelName = None,
    image: Annotated[
        list[str] | None, typer.Option("--image", help="A picture of the first message.")
    ] = None,
    system: Annotated[str | None, typer.Option("--system", help="A system message.")] = None,
    json: o.Json = False,
    max_tokens: o.MaxTokens = 256,
    temperature: o.Temperature = 0.0,
    top_k: o.TopK = 0,
    top_p: o.TopP = 1.0,
    min_p: o.MinP = 0.0,
    repetition_penalty: o.Penalty = 1.0,
    seed: o.Seed = None,
    stop: o.Stop = None,
    lora: o.Lora = None,
    adapter: o.AdapterName = None,
    mmproj: o.Mmproj = None,
    draft: o.Draft = None,
    device: o.Device = "auto",
    dtype: o.DType = "auto",
    kv_cache: o.KvCache = "auto",
    threads: o.Threads = None,
    max_context: o.MaxContext = None,
    revision: o.Revision = None,
    offline: o.Offline = False,
) -> None:
    """Talk with a model; /help lists what it understands besides words."""
    from chiasm.cli import chat as talk

    load = o.load_settings(
        device,
        dtype,
        kv_cache,
        threads,
        max_context,
        revision,
        offline,
        lora,
        adapter,
        mmproj,
        draft,
    )
    talk.run(
        o.load(model, **load),
        image or [],
        system=system,
        json=json,
        settings=o.generate_settings(
            max_tokens, temperature, top_k, top_p, min_p, repetition_penalty, seed, stop
        ),
    )


@_app.command()
def embed(
    files: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[FILE]",
            help="Pictures, folders of them, and .txt files whose lines are texts.",
        ),
    ] = None,
    text: Annotated[
        list[str] | None, typer.Option("--text", help="Words; may be repeated.")
    ] = None,
    prompt: Annotated[
        str | None,
        typer.Option("--prompt", help="One of the model's prompts by name, before each text."),
    ] = None,
    truncate: Annotated[
        bool, typer.Option("--truncate", help="Cut off the end of texts that are too long.")
    ] = False,
    numbers: Annotated[
        str, typer.Option("--as", help="Numbers of the vectors: float32, float16 or int8.")
    ] = "float32",
    model: o.ModelName = None,
    json: o.Json = False,
    out: Annotated[
        pathlib.Path | None,
        typer.Option(
            "--out",
            help="Write to this file, which appears whole or not at all: an array where it ends in"
            " .npy, else JSON lines.",
        ),
    ] = None,
    lora: Annotated[
        str | None, typer.Option("--lora", help="A PEFT LoRA folder beside the weights.")
    ] = None,
    device: o.Device = "auto",
    dtype: o.DType = "auto",
    threads: o.Threads = None,
    revision: o.Revision = None,
    offline: o.Offline = False,
) -> None:
    """Turn pictures and words into vectors of one space, as JSON with --json or --out. Pictures come
    first, then the lines of text files, then --text."""
    from chiasm.cli import embed as vectors

    vectors.run(
        files or [],
        text or [],
        prompt=prompt,
        truncate=truncate,
        numbers=numbers,
        model=model,
        json=json,
        out=out,
        load={
            "device": device,
            "dtype": dtype,
            "threads": threads,
            "lora": lora,
            "revision": revision,
            "offline": offline,
        },
    )


_app.command()(transcribe)


@_app.command()
def plan(
    pictures: Annotated[
        list[str] | None,
        typer.Argument(metavar="[PICTURE]", help="Pictures and videos of one request."),
    ] = None,
    audio: Annotated[
        list[str] | None, typer.Option("--audio", help="A sound of the request instead.")
    ] = None,
    prompt: Annotated[str, typer.Option("--prompt", help="The words.")] = "Describe this image.",
    model: o.ModelName = None,
    json: o.Json = False,
    max_tokens: o.MaxTokens = 128,
    device: o.Device = "auto",
    dtype: o.DType = "auto",
    kv_cache: o.KvCache = "auto",
    threads: o.Threads = None,
    max_context: o.MaxContext = None,
    revision: o.Revision = None,
    offline: o.Offline = False,
) -> None:
    """Tell the length and the memory of a request, without running it."""
    from chiasm.cli import show

    show.plan(
        o.load(
            model,
            **o.load_settings(device, dtype, kv_cache, threads, max_context, revision, offline),
        ),
        pictures or [],
        audio or [],
        prompt,
        max_tokens,
        json,
    )


@_app.command()
def inspect(
    model: o.ModelName = None,
    json: o.Json = False,
    device: o.Device = "auto",
    dtype: o.DType = "auto",
    revision: o.Revision = None,
    offline: o.Offline = False,
) -> None:
    """Show a model: its configuration, tensors, sizes and tokens per picture."""
    from chiasm.cli import show

    show.inspect(
        o.load(model, device=device, dtype=dtype, revision=revision, offline=offline), json
    )


@_app.command()
def quantize(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Model folder or hub id.")],
    out: Annotated[str, typer.Argument(metavar="OUT", help="The folder to write.")],
    to: Annotated[str, typer.Option("--to", help="int8 or int4.")] = "int8",
    force: Annotated[
        bool, typer.Option("--force", help="Replace OUT, if it is a packed model.")
    ] = False,
    json: o.Json = False,
    dtype: o.DType = "auto",
    threads: o.Threads = None,
    revision: o.Revision = None,
    offline: o.Offline = False,
) -> None:
    """Write a model in 8 or 4 bits, so that loading it is a memory map."""
    from chiasm.cli import show

    show.quantize(
        model,
        out,
        json,
        {
            "to": to,
            "force": force,
            "dtype": dtype,
            "threads": threads,
            "revision": revision,
            "offline": offline,
        },
    )


@_app.command()
def bench(
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="[MODEL]",
            help="Folder, GGUF file or hub id; by default the bundled model.",
            show_default=False,
        ),
    ] = None,
    json: o.Json = False,
    quantize: Annotated[str | None, typer.Option("--quantize", help="int8 or int4.")] = None,
    threads: Annotated[
        str | None, typer.Option("--threads", help="Counts to compare, as in 1,2.")
    ] = None,
    lengths: Annotated[
        str | None, typer.Option("--lengths", help="Prompts to prefill, in tokens: 128,512,1024.")
    ] = None,
    depths: Annotated[
        str | None, typer.Option("--depths", help="Tokens before those decoded: 1,512,1024.")
    ] = None,
    pictures: Annotated[
        str | None, typer.Option("--pictures", help="Pictures in one request, as in 1,4,16.")
    ] = None,
    parallel: Annotated[
        str | None, typer.Option("--parallel", help="Sequences side by side, as in 1,8,32.")
    ] = None,
    operators: Annotated[
        bool, typer.Option("--operators", help="Show where an answer's time goes.")
    ] = False,
    repeat: Annotated[int, typer.Option("--repeat", min=1, help="Runs of each figure.")] = 3,
    picture: Annotated[
        str | None, typer.Option("--picture", help="A picture instead of the built-in one.")
    ] = None,
    dtype: o.DType = "auto",
    kv_cache: o.KvCache = "auto",
    max_context: o.MaxContext = None,
    revision: o.Revision = None,
    offline: o.Offline = False,
) -> None:
    """Measure speed and memory beside what the machine can do at most."""
    from chiasm.cli import bench as measure

    measure.run(
        model,
        json=json,
        threads=threads,
        lengths=lengths,
        depths=depths,
        pictures=pictures,
        parallel=parallel,
        operators=operators,
        repeat=repeat,
        picture=picture,
        load={
            "quantize": quantize,
            "dtype": dtype,
            "kv_cache": kv_cache,
            "max_context": max_context,
            "revision": revision,
            "offline": offline,
        },
    )


_app.command()(explain)
_app.command()(serve)
_app.command()(mcp)
_app.command()(verify)


@_app.command()
def doctor(json: o.Json = False) -> None:
    """Show which CPU path, threads, libraries and versions are in use."""
    from chiasm.cli import show

    show.doctor(json)


retrieval.register(_app)
