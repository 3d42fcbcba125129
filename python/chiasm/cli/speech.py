"""The command `transcribe` and its options; `chiasm.cli.transcribe` carries it out."""

from __future__ import annotations

from typing import Annotated

import typer

from chiasm.cli import options as o


def transcribe(
    sounds: Annotated[
        list[str], typer.Argument(metavar="SOUND", help="WAV, FLAC, Ogg or MP3 files.")
    ],
    model: o.ModelName = None,
    format: Annotated[str, typer.Option("--format", help="text, srt, vtt or json.")] = "text",
    json: o.Json = False,
    out: o.Out = None,
    language: Annotated[
        str | None,
        typer.Option("--language", help="Code of the language; else it is detected."),
    ] = None,
    translate: Annotated[
        bool, typer.Option("--translate", help="Write it down in English.")
    ] = False,
    timestamps: Annotated[
        bool,
        typer.Option("--timestamps/--no-timestamps", help="Have the model tell times."),
    ] = True,
    fallback: Annotated[
        bool,
        typer.Option(
            "--fallback",
            help="Write down again at higher temperatures what repeats itself or is unlikely.",
        ),
    ] = False,
    compression_ratio_threshold: Annotated[
        float, typer.Option("--compression-ratio-threshold", help="Tokens that pack better repeat.")
    ] = 1.35,
    logprob_threshold: Annotated[
        float, typer.Option("--logprob-threshold", help="Words under this mean are unlikely.")
    ] = -1.0,
    no_speech_threshold: Annotated[
        float, typer.Option("--no-speech-threshold", help="Unlikely words over this are silence.")
    ] = 0.6,
    seed: Annotated[int, typer.Option("--seed", min=0, help="The same seed, the same words.")] = 0,
    lora: o.Lora = None,
    adapter: o.AdapterName = None,
    padding: Annotated[
        str, typer.Option("--padding", help="Behind a short sound: silence or zeros.")
    ] = "silence",
    device: o.Device = "auto",
    dtype: o.DType = "auto",
    kv_cache: o.KvCache = "auto",
    threads: o.Threads = None,
    revision: o.Revision = None,
    offline: o.Offline = False,
) -> None:
    """Write down speech, as text or as subtitles."""
    from chiasm._options import FALLBACK_TEMPERATURES
    from chiasm.cli import transcribe as write

    write.run(
        sounds,
        model=model,
        format="json" if json else format,
        out=out,
        load=o.load_settings(
            device, dtype, kv_cache, threads, None, revision, offline, lora, adapter
        ),
        settings={
            "language": language,
            "task": "translate" if translate else "transcribe",
            "timestamps": timestamps,
            "temperatures": FALLBACK_TEMPERATURES if fallback else 0.0,
            "compression_ratio_threshold": compression_ratio_threshold,
            "logprob_threshold": logprob_threshold,
            "no_speech_threshold": no_speech_threshold,
            "seed": seed,
            "padding": padding,
        },
    )
