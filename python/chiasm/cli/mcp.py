"""`chiasm mcp`."""

from __future__ import annotations

from typing import Annotated

import typer

from chiasm.cli import ctrl_c_leaves
from chiasm.cli import options as o
from chiasm.errors import RequestError


def mcp(
    folder: Annotated[
        list[str] | None,
        typer.Option(
            "--folder",
            help="Whose files may be read; may be repeated; by default the current one.",
            show_default=False,
        ),
    ] = None,
    db: Annotated[
        str | None,
        typer.Option("--db", metavar="INDEX", help="An index of chiasm index to search."),
    ] = None,
    model: o.ModelName = None,
    max_megapixels: Annotated[
        float, typer.Option("--max-megapixels", min=0.01, help="Largest picture.")
    ] = 40.0,
    lora: o.Lora = None,
    adapter: o.AdapterName = None,
    quantize: Annotated[str | None, typer.Option("--quantize", help="int8 or int4.")] = None,
    device: o.Device = "auto",
    dtype: o.DType = "auto",
    kv_cache: o.KvCache = "auto",
    threads: o.Threads = None,
    max_context: o.MaxContext = None,
    revision: o.Revision = None,
    offline: o.Offline = False,
) -> None:
    """Be a server of the Model Context Protocol on standard input and output: other programs call
    caption, ask and search."""
    try:
        from chiasm.mcp import create_server
    except ImportError as e:
        raise RequestError(str(e)) from e

    loaded = o.load(
        model,
        quantize=quantize,
        max_image_pixels=int(max_megapixels * 1e6),
        **o.load_settings(
            device, dtype, kv_cache, threads, max_context, revision, offline, lora, adapter
        ),
    )
    index = None if db is None else o.open_index(db, threads, offline)
    server = create_server(loaded, folder or ["."], index=index)
    with ctrl_c_leaves():  # else a thread that waits for input would hold the process
        server.run("stdio")
