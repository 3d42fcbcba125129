"""`chiasm plan`, `chiasm inspect`, `chiasm quantize` and `chiasm doctor`."""

from __future__ import annotations

import importlib.metadata
import os
import pathlib
import platform
import sys
import time
from collections import Counter
from typing import Any

import chiasm
from chiasm import _chiasm, _hub
from chiasm._video import is_video
from chiasm.cli.answer import picture_files
from chiasm.cli.output import bytes_text, json_line, printable, table

_PACKAGES = ("numpy", "jinja2", "typer", "rich", "huggingface_hub", "pillow")


def plan(
    model: chiasm.Model,
    names: list[str],
    sounds: list[str],
    prompt: str,
    max_tokens: int,
    json: bool,
) -> None:
    files = list(picture_files(names))
    items = [{"type": "video" if is_video(file) else "image", "path": file} for file in files]
    items += [{"type": "audio", "path": sound} for sound in sounds]
    content = [*items, {"type": "text", "text": prompt}]
    told = model.plan([{"role": "user", "content": content}], max_tokens=max_tokens)
    if json:
        print(json_line(told.as_dict()))
        return
    what, count, tokens, piece = "pictures", len(files), told.image_tokens, "tile"
    if told.frames:
        what, tokens = "pictures and videos", told.image_tokens + told.video_tokens
    if sounds:
        what, count, tokens, piece = "sounds", len(sounds), told.audio_tokens, "window"
    rows = [
        ("prompt", f"{told.tokens} tokens, {tokens} of them for {what}"),
        (what, f"{count}, cut into {told.tiles} {piece}{'' if told.tiles == 1 else 's'}"),
    ]
    if told.frames:
        rows.append(("videos", f"{told.frames} frames, {told.video_tokens} tokens of the prompt"))
    rows += [
        ("context", f"{model.info.max_context} tokens, {max_tokens} wanted for the answer"),
        ("weights", bytes_text(told.weight_bytes)),
        ("tokenizer, program", bytes_text(told.fixed_bytes)),
        ("keys and values", bytes_text(told.kv_bytes)),
        ("activations", bytes_text(told.activation_bytes)),
        ("peak memory", bytes_text(told.peak_bytes)),
    ]
    for d in told.devices:
        parts = (
            f"weights {bytes_text(d.weight_bytes)}, KV cache {bytes_text(d.kv_bytes)}, "
            f"activations {bytes_text(d.activation_bytes)}"
        )
        rows.append(
            (d.device, f"{bytes_text(d.peak_bytes)} of {bytes_text(d.memory_bytes)}: {parts}")
        )
    table(rows, sys.stdout)


def inspect(model: chiasm.Model, json: bool) -> None:
    info = model.info
    tensors = _chiasm.checkpoint_tensors(info.path)
    if json:
        rows = [{"name": n, "dtype": t, "shape": list(shape)} for n, t, shape in tensors]
        print(json_line({**info.as_dict(), "tensors": rows}))
        return
    dtypes = Counter(dtype for _, dtype, _ in tensors)
    rows_of = [
        ("family", info.family),
        ("folder", info.path),
        ("parameters", f"{info.parameters:,}"),
        ("files", bytes_text(info.file_bytes)),
        ("resident weights", f"{bytes_text(info.weight_bytes)} as {_formats(info)}"),
        ("context", f"{info.max_context} tokens, keys and values as {info.kv_dtype}"),
        ("decoder", f"{info.layers} layers of {info.hidden_size}, {info.vocab_size} tokens"),
        ("end tokens", ", ".join(map(str, info.eos_token_ids))),
    ]
    if info.vision_layers:
        rows_of.append(
            ("vision encoder", f"{info.vision_layers} layers of {info.vision_hidden_size}")
        )
    if info.vision_layers and not info.tokens_per_tile:
        rows_of.append(("picture", "in its own shape: chiasm plan tells its tokens"))
    if info.tokens_per_tile:
        rows_of += [
            ("picture", f"{info.image_size} x {info.image_size} pixels a tile"),
            (
                "tokens per picture",
                f"{info.tokens_per_tile} a tile, from {info.patches_per_tile} patches",
            ),
        ]
    rows_of.append(("tensors", ", ".join(f"{n} {dtype}" for dtype, n in sorted(dtypes.items()))))
    table(rows_of, sys.stdout)
    print()
    width = max((len(name) for name, _, _ in tensors), default=0)
    for name, dtype, shape in tensors:
        size = " x ".join(map(str, shape)) or "scalar"
        print(f"{printable(name, sys.stdout):<{width}}  {dtype:<8}  {size}")


def _formats(info: chiasm.ModelInfo) -> str:
    text = info.dtype
    if info.quantize == "gguf":
        text = f"the file's own blocks, the rest as {text}"
    elif info.quantize:
        text = f"{info.quantize}, the rest as {text}"
    if info.packed_layout:
        text += f"; mapped, layout {info.packed_layout} (the same for every instruction set)"
    return text


def quantize(model: str, out: str, json: bool, settings: dict[str, Any]) -> None:
    begun = time.perf_counter()
    folder = chiasm.quantize(model, out, progress=True, **settings)
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    if json:
        seconds = round(time.perf_counter() - begun, 3)
        print(json_line({"folder": str(folder), "bytes": size, "seconds": seconds}))
    else:
        print(printable(f"{folder}: {bytes_text(size)} as {settings['to']}", sys.stdout))


def doctor(json: bool) -> None:
    facts = _facts()
    if json:
        print(json_line(facts))
        return
    packages = ", ".join(f"{name} {version}" for name, version in facts["packages"].items())
    rows = [
        ("chiasm", f"{facts['version']}, built by {facts['compiler']} ({facts['build_type']})"),
        ("CPU path", f"{facts['isa']} (this machine runs {', '.join(facts['isa_available'])})"),
        ("bfloat16 instructions", "yes" if facts["avx512_bf16"] else "no"),
        ("threads", f"{facts['cpus']}"),
        ("memory", bytes_text(facts["memory_bytes"])),
        ("device", _device_text(facts["device"])),
        ("video files", facts["video"]),
        ("families", ", ".join(facts["families"])),
        ("embedders", ", ".join(facts["embedders"])),
        ("bundled model", facts["bundled_model"] or "none"),
        ("hub", "offline" if facts["hub_offline"] else "reachable on request"),
        ("Python", f"{facts['python']} on {facts['platform']}"),
        ("packages", packages),
    ]
    table(rows, sys.stdout)


def _device_text(device: dict[str, Any]) -> str:
    if device["missing"]:
        return f"none: {device['missing']}"
    memory = bytes_text(device["memory_bytes"])
    return f"{device['name']}, {memory} ({device['build']}; {device['plugin']})"


def _facts() -> dict[str, Any]:
    bundled = _hub.bundled_model()
    return {
        "version": chiasm.__version__,
        **_chiasm.system_info(),
        "forced_cpu": os.environ.get("CHIASM_FORCE_CPU"),
        "memory_bytes": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        "bundled_model": None if bundled is None else str(bundled),
        "hub_offline": os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "installed_at": str(pathlib.Path(chiasm.__file__).parent),
        "packages": {name: _version(name) for name in _PACKAGES},
    }


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "absent"
