"""`chiasm serve`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from chiasm._extras import missing
from chiasm.cli import options as o
from chiasm.errors import RequestError

_MB = 1_000_000


def serve(
    model: o.ModelName = None,
    embedder: Annotated[
        str | None,
        typer.Option(
            "--embedder",
            help="Model of /v1/embeddings; by default the bundled one, where it is the model too.",
        ),
    ] = None,
    speech: Annotated[
        str | None, typer.Option("--speech", help="Whisper model of /v1/audio/transcriptions.")
    ] = None,
    db: Annotated[
        str | None, typer.Option("--db", help="An index of chiasm index, for /v1/search.")
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", help="What clients call the model; else its folder.")
    ] = None,
    host: Annotated[str, typer.Option("--host", help="The address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0: any free one.")] = 8000,
    api_key: Annotated[
        str | None,
        typer.Option("--api-key", envvar="CHIASM_API_KEY", help="Asked of every client."),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            "--allow-host", help="A name clients may call the server by; may be repeated."
        ),
    ] = None,
    allow_media_domain: Annotated[
        list[str] | None,
        typer.Option(
            "--allow-media-domain", help="A host to fetch pictures from; may be repeated."
        ),
    ] = None,
    max_requests: Annotated[
        int, typer.Option("--max-requests", min=1, max=1024, help="That run or wait at once.")
    ] = 64,
    max_tokens: Annotated[
        int, typer.Option("--max-tokens", min=1, help="Longest answer, where a request is silent.")
    ] = 512,
    max_body_mb: Annotated[
        float, typer.Option("--max-body-mb", min=0.01, help="Largest request body.")
    ] = 32.0,
    max_memory_mb: Annotated[
        float, typer.Option("--max-memory-mb", min=1, help="Of one request, besides its KV cache.")
    ] = 4096.0,
    max_images: Annotated[
        int, typer.Option("--max-images", min=0, help="Pictures of one request.")
    ] = 16,
    max_megapixels: Annotated[
        float, typer.Option("--max-megapixels", min=0.01, help="Largest picture.")
    ] = 40.0,
    max_audio_minutes: Annotated[
        float, typer.Option("--max-audio-minutes", min=0.1, help="Longest sound.")
    ] = 60.0,
    encoder_cache_dir: Annotated[
        str | None,
        typer.Option(
            "--encoder-cache-dir",
            help="A folder that keeps what was encoded of pictures and sounds, for the next start.",
        ),
    ] = None,
    encoder_cache_mb: Annotated[
        float, typer.Option("--encoder-cache-mb", min=2, help="That it may take.")
    ] = 1000.0,
    grace: Annotated[
        float,
        typer.Option("--grace", min=0.0, help="Seconds that running requests get on a stop."),
    ] = 30.0,
    lora: o.Lora = None,
    mmproj: o.Mmproj = None,
    draft: o.Draft = None,
    quantize: Annotated[str | None, typer.Option("--quantize", help="int8 or int4.")] = None,
    device: o.Device = "auto",
    dtype: o.DType = "auto",
    kv_cache: o.KvCache = "auto",
    threads: o.Threads = None,
    max_context: o.MaxContext = None,
    revision: o.Revision = None,
    offline: o.Offline = False,
) -> None:
    """Serve OpenAI's API and a web page."""
    from chiasm._load import load, load_embedder

    try:
        from chiasm.server.run import serve as run
        from chiasm.server.settings import Models, Settings
    except ImportError as e:
        raise RequestError(str(missing("chiasm serve", e, "serve"))) from e

    settings = Settings(
        host=host,
        port=port,
        api_key=api_key,
        hosts=tuple(h.lower() for h in allow_host or ()),
        media_domains=tuple(allow_media_domain or ()),
        max_requests=max_requests,
        default_max_tokens=max_tokens,
        max_body_bytes=int(max_body_mb * _MB),
        max_images=max_images,
        memory_bytes=int(max_memory_mb * (1 << 20)),
        max_image_bytes=int(max_body_mb * _MB),
        grace_seconds=grace,
    )
    shared: dict[str, Any] = {"device": device, "dtype": dtype, "threads": threads}
    shared |= {"offline": offline, "progress": True}
    limits: dict[str, Any] = {
        "max_image_pixels": int(max_megapixels * 1e6),
        "max_audio_seconds": max_audio_minutes * 60,
    }
    chat = load(
        model,
        quantize=quantize,
        kv_cache=kv_cache,
        max_context=max_context,
        revision=revision,
        lora=o.adapters(lora),
        mmproj=mmproj,
        draft=draft,
        encoder_cache_dir=encoder_cache_dir,
        encoder_cache_dir_bytes=int(encoder_cache_mb * _MB),
        **shared,
        **limits,
    )
    hears = None if speech is None else load(speech, **shared, **limits)
    index = None if db is None else o.open_index(db, threads, offline)
    embeds = None
    if embedder is not None or model is None:
        on_cpu = shared | {"device": "cpu"}  # no embedder runs on a device yet
        embeds = load_embedder(embedder, max_image_pixels=limits["max_image_pixels"], **on_cpu)
    if chat.info.family == "whisper":  # answers no messages
        if hears is None:
            hears = chat
        models = Models(embedder=embeds, speech=hears, index=index, speech_name=name)
    else:
        models = Models(chat=chat, embedder=embeds, speech=hears, index=index, chat_name=name)
    run(models, settings)
