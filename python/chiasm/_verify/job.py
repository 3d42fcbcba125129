"""What to compare of a model: its kind, and inputs that reach all of it."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from chiasm import _chiasm
from chiasm._verify import media
from chiasm.errors import ModelError, RequestError

_HEARING = ("qwen2_audio", "voxtral")
_RETRIEVERS = ("colpali", "colqwen2")
_WITHOUT_REFERENCE = {
    "ultravox": "transformers has no such family: its code lies beside published weights",
}


def family_of(folder: pathlib.Path) -> str:
    """config.json's model_type; "gguf" of a GGUF file.

    Raises:
        ModelError: There is none, it is no family of Chiasm's, or nothing to compare it with.
    """
    if folder.suffix == ".gguf":
        return "gguf"
    file = folder / "config.json"
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as e:
        raise ModelError(f"{file}: cannot be read: {e}") from e
    family = config.get("model_type") if isinstance(config, dict) else None
    if family in _WITHOUT_REFERENCE:
        raise ModelError(f'{file}: family "{family}" cannot be verified: {_WITHOUT_REFERENCE[family]}')
    known = _chiasm.system_info()
    if family not in (*known["families"], *known["embedders"], *_RETRIEVERS):
        raise ModelError(
            f'{file}: family "{family}" is not supported; chiasm doctor lists those that are'
        )
    if (folder / "chiasm.safetensors").exists():
        raise ModelError(f"{folder}: is packed for Chiasm alone; verify the model it was made of")
    return str(family)


def kind_of(family: str, folder: pathlib.Path) -> str:
    if family == "gguf":
        return "gguf"
    if family in _chiasm.system_info()["embedders"] and family not in ("smolvlm", "idefics3"):
        return "embedder"
    if family in _RETRIEVERS:
        return "retriever"
    if family == "whisper":
        return "speech"
    if family in _HEARING:
        return "sounds"
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return "pictures" if "vision_config" in config else "text"


def numbers_of(file: pathlib.Path) -> str:
    """What a GGUF file's weights are: float32, float16, bfloat16, or "blocks" where some are quantized."""
    formats = {form for _, form, _ in _chiasm.checkpoint_tensors(str(file))}
    if not formats <= {"float32", "float16", "bfloat16"}:
        return "blocks"
    return next(iter(sorted(formats - {"float32"})), "float32")


def make(
    folder: pathlib.Path,
    out: pathlib.Path,
    *,
    dtype: str,
    tokens: int,
    threads: int | None,
    images: Sequence[str],
    audio: Sequence[str],
    prompts: Sequence[str],
) -> dict[str, Any]:
    """The job for the reference. Arrays that stand in for media go to `out`.

    Raises:
        ModelError: See `family_of`.
        RequestError: The model sees no pictures or hears no sounds, and was given some.
        MediaError: A sound cannot be read.
    """
    family = family_of(folder)
    kind = kind_of(family, folder)
    sees = kind in ("pictures", "retriever") or family in ("clip", "siglip")
    hears = kind in ("speech", "sounds")
    if images and not sees:
        if kind == "gguf":
            raise RequestError("--image: of a GGUF file the words alone are compared")
        raise RequestError(f"--image: family {family} sees no pictures")
    if audio and not hears:
        raise RequestError(f"--audio: family {family} hears no sounds")
    if kind == "speech" and prompts:
        raise RequestError("--prompt: a model that writes down speech takes no words")
    job = {
        "model": str(folder.resolve()),
        "out": str(out.resolve()),
        "family": family,
        "kind": kind,
        "dtype": numbers_of(folder) if kind == "gguf" else dtype,
        "tokens": tokens,
        "threads": threads or 0,
        "images": _images(images, out) if sees else [],
        "sounds": _sounds(audio, out) if hears else [],
    }
    if kind in ("embedder", "retriever"):
        job["texts"] = list(prompts) or media.TEXTS
        return job
    words = list(prompts) or [media.WORDS, *([media.STORY] if kind == "gguf" else [])]
    job["cases"] = _cases(job, words, bool(images or audio or prompts))
    return job


def _images(files: Sequence[str], out: pathlib.Path) -> list[dict[str, str]]:
    if files:
        for file in files:
            if not pathlib.Path(file).is_file():
                raise RequestError(f"--image {file}: no such file")
        return [
            {"name": f"picture {i + 1}", "file": str(pathlib.Path(file).resolve())}
            for i, file in enumerate(files)
        ]
    made = []
    for name, pixels in media.pictures().items():
        np.save(out / f"{name}.npy", pixels)
        made.append({"name": name, "file": str((out / f"{name}.npy").resolve())})
    return made


def _sounds(files: Sequence[str], out: pathlib.Path) -> list[dict[str, str]]:
    """As samples: what decodes and resamples files is not what is compared."""
    if files:
        sounds = [_chiasm.decode_sound(file, media.RATE) for file in files]
    else:
        sounds = [media.sound()]
    made = []
    for i, samples in enumerate(sounds):
        file = out / f"sound {i + 1}.npy"
        np.save(file, samples)
        made.append({"name": f"sound {i + 1}", "file": str(file.resolve())})
    return made


def _cases(job: dict[str, Any], words: list[str], own: bool) -> list[dict[str, Any]]:
    """The prompts: one of each medium alone, one of all together, one of words. The user's own
    media stand together in one."""
    images = [m["name"] for m in job["images"]]
    sounds = [m["name"] for m in job["sounds"]]
    if job["kind"] == "speech":
        return [{"name": name, "words": "", "images": [], "sounds": [name]} for name in sounds]
    cases = []
    for i, text in enumerate(words):
        name = "prompt" if len(words) == 1 else f"prompt {i + 1}"
        one = {"name": name, "words": text, "images": images, "sounds": sounds}
        cases.append(one)
    if own:
        return cases
    text = words[0]
    if images:
        cases = [{"name": images[0], "words": text, "images": images[:1], "sounds": []}]
        cases.append({"name": "all pictures", "words": text, "images": images, "sounds": []})
    if job["family"] != "paligemma" and (images or sounds):  # whose processor wants a picture
        cases.append({"name": "words alone", "words": text, "images": [], "sounds": []})
    return cases
