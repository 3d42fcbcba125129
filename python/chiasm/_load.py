"""`chiasm.load`, `chiasm.load_embedder` and `chiasm.load_retriever`."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

from chiasm import _chiasm, _hub
from chiasm._adapters import load_all
from chiasm._embedder import Embedder
from chiasm._model import Model
from chiasm._options import device_words, integer, number, utf8
from chiasm._progress import listener
from chiasm._retriever import Retriever
from chiasm._templates import ChatTemplate
from chiasm.errors import ModelError


def load(
    name_or_path: str | os.PathLike[str] | None = None,
    *,
    device: str | Sequence[str] = "auto",
    dtype: str = "auto",
    quantize: str | None = None,
    threads: int | None = None,
    max_context: int | None = None,
    kv_cache: str = "auto",
    lora: Any = None,
    mmproj: str | os.PathLike[str] | None = None,
    batch_invariant: bool = False,
    attention_provider: str = "own",
    draft: str | os.PathLike[str] | None = None,
    draft_tokens: int = 4,
    encoder_cache_dir: str | os.PathLike[str] | None = None,
    encoder_cache_dir_bytes: int = 1 << 30,
    max_image_pixels: int | None = None,
    max_audio_seconds: float | None = None,
    revision: str | None = None,
    token: str | bool | None = None,
    offline: bool = False,
    progress: bool | Callable[[float], None] = False,
) -> Model:
    """Loads a model.

    Args:
        name_or_path: A Hugging Face model folder, a .gguf file, or a hub id ("owner/name") that is
            fetched into the hub's cache (HF_HOME; HF_ENDPOINT names another hub). None: the bundled
            model.
        device: "auto" (a CUDA device where one can be used, else the CPU), "cpu", "cuda" or
            "cuda:N"; or several (["cuda:0", "cuda:1"], "cuda:0,cuda:1"; "cuda:all": every usable one):
            each then runs the whole model, and requests are spread over them.
        dtype: Number format of the weights: "auto" (as the checkpoint), "float32", "bfloat16" or
            "float16".
        quantize: None; "int8": all large matrices in 8 bits; "int4": the language model's MLPs in 4
            bits, the rest, which suffers more from few bits, in 8.
        threads: CPU threads; None: all that this process may use.
        max_context: Tokens that a request may hold; None: what the model was made for.
        kv_cache: Number format of keys and values: "auto" ("float32" for float32 weights, else
            "bfloat16"), "float32", "bfloat16", or "int8": half of bfloat16's bytes, for long contexts.
        lora: A PEFT LoRA folder, which all requests then go through (`model.adapter`), or folders by
            name, from which each request chooses (`adapter=`); see `Model.load_adapter`.
        mmproj: Of a .gguf file: the file of its vision encoder and projector. None: the one beside
            it with "mmproj" in its name, if there is one; "none": words alone.
        batch_invariant: On a CUDA device: whether every answer is the same bit for bit whatever runs beside
            it, as it always is on the CPU. Slower for prompts, pictures and many requests at once.
        attention_provider: On a CUDA device: whose attention serves prompts and pictures under
            bfloat16: "own" kernels, or "cudnn", where NVIDIA's library is installed and has what a
            call asks for. Never run on a GPU yet. Not together with `batch_invariant`.
        draft: A smaller model with the same vocabulary (a folder, GGUF file or hub id) that guesses how
            answers go on. The model checks each guess, so that its answers are the same, sooner
            where guesses are right. It reads the words alone, not pictures or sounds.
        draft_tokens: How many tokens it guesses at a time; requests may say otherwise.
        encoder_cache_dir: A folder that keeps what encoders make of pictures, videos and sounds, so that
            one which comes again after a restart is not encoded again. It is made where it is missing;
            models, versions and processes may share it, each finds its own alone. Whoever can write
            there can change what the model sees. None: memory alone, 64 MB.
        encoder_cache_dir_bytes: That its files may take, at least 1 MiB; the least recently used go first.
        max_image_pixels: A larger picture is refused before it is decoded; None: 178,956,970, as
            Pillow does.
        max_audio_seconds: Likewise for sounds; None: the runtime's limit.
        revision: A branch, tag or commit on the hub.
        token: An access token for the hub; None: the one that is saved.
        offline: Fetches nothing (so does HF_HUB_OFFLINE=1).
        progress: True: a bar on a terminal's standard error once loading takes longer than half a
            second. Or a function, called with the fraction of the weights read so far, in [0, 1].

    Raises:
        ModelError: The model is missing, damaged, of an unsupported family or cannot be fetched.
        RequestError: A setting is out of range.
        DeviceError: The device cannot be used; says what is missing.
    """
    settings = _shared_settings(device, dtype, quantize, threads) | {
        "kv_cache": utf8("kv_cache", kv_cache),
        "batch_invariant": bool(batch_invariant),
        "attention_provider": utf8("attention_provider", attention_provider),
        "max_context": 0 if max_context is None else integer("max_context", max_context, 1),
    }
    if mmproj is not None:
        settings["mmproj"] = utf8("mmproj", os.fspath(mmproj))
    if max_image_pixels is not None:
        settings["max_image_pixels"] = integer("max_image_pixels", max_image_pixels, 1)
    if max_audio_seconds is not None:
        settings["max_audio_seconds"] = number("max_audio_seconds", max_audio_seconds)
    if draft is not None:
        guesser = _hub.find_model(draft, revision=None, token=token, offline=offline)
        settings["draft"] = str(guesser)
        settings["draft_tokens"] = integer("draft_tokens", draft_tokens, 1, 32)
    if encoder_cache_dir is not None:
        settings["encoder_cache_dir"] = utf8("encoder_cache_dir", os.fspath(encoder_cache_dir))
        settings["encoder_cache_dir_bytes"] = integer(
            "encoder_cache_dir_bytes", encoder_cache_dir_bytes, 1
        )
    folder = _hub.find_model(name_or_path, revision=revision, token=token, offline=offline)
    with listener(progress, "loading") as hear:
        native = _chiasm.Model.load(str(folder), progress=hear, **settings)
    model = Model(native, _chat_template(folder, native.info))
    if lora is not None:
        load_all(model, lora)
    return model


def _shared_settings(
    device: str | Sequence[str], dtype: str, quantize: str | None, threads: int | None
) -> dict[str, Any]:
    """What all kinds of models take."""
    return {
        "device": device_words(device),
        "dtype": utf8("dtype", dtype),
        "quantize": "" if quantize is None else utf8("quantize", quantize),
        "threads": 0 if threads is None else integer("threads", threads, 1, 1024),
    }


def _chat_template(path: pathlib.Path, info: _chiasm.ModelInfo) -> ChatTemplate | None:
    """A folder's template, or the one inside a GGUF file."""
    if path.is_dir():
        return ChatTemplate.load(path)
    if not info.chat_template:
        return None
    tokens = {"bos_token": info.bos_token, "eos_token": info.eos_token}
    named = {name: text for name, text in tokens.items() if text}
    return ChatTemplate(info.chat_template, named, f"{path.name}: tokenizer.chat_template")


def load_embedder(
    name_or_path: str | os.PathLike[str] | None = None,
    *,
    device: str = "auto",
    dtype: str = "auto",
    quantize: str | None = None,
    threads: int | None = None,
    max_image_pixels: int | None = None,
    lora: str | os.PathLike[str] | None = None,
    revision: str | None = None,
    token: str | bool | None = None,
    offline: bool = False,
    progress: bool | Callable[[float], None] = False,
) -> Embedder:
    """Loads a model that embeds texts and pictures for retrieval.

    Args:
        name_or_path: A folder or hub id, as for `load`. None: the bundled model and its search head.
        device, dtype, threads, max_image_pixels, revision, token, offline, progress: As for
            `load`.
        quantize: None; "int8": all large matrices in 8 bits; "int4": MLPs of text layers in 4 bits,
            the rest in 8.
        lora: A PEFT LoRA folder that all vectors go through. Those of an index and of its queries
            have to come from the same.

    Raises:
        ModelError: The model or the adapter is missing, damaged, embeds nothing or cannot be fetched.
        RequestError: A setting is out of range.
        DeviceError: The device cannot be used; says what is missing.
    """
    settings = _shared_settings(device, dtype, quantize, threads)
    if max_image_pixels is not None:
        settings["max_image_pixels"] = integer("max_image_pixels", max_image_pixels, 1)
    if lora is not None:
        settings["lora"] = utf8("lora", os.fspath(lora))
    folder = _hub.find_model(name_or_path, revision=revision, token=token, offline=offline)
    with listener(progress, "loading") as hear:
        return Embedder(_chiasm.Embedder.load(str(folder), progress=hear, **settings))


def load_retriever(
    name_or_path: str | os.PathLike[str],
    *,
    device: str | Sequence[str] = "auto",
    dtype: str = "auto",
    quantize: str | None = None,
    threads: int | None = None,
    revision: str | None = None,
    token: str | bool | None = None,
    offline: bool = False,
    progress: bool | Callable[[float], None] = False,
) -> Retriever:
    """Loads a multi-vector retriever: ColPali or ColQwen2 as transformers has them ("...-hf").

    Args:
        name_or_path: A folder or hub id, as for `load`.
        device, dtype, quantize, threads, revision, token, offline, progress: As for `load`.

    Raises:
        ModelError: The model is missing, damaged, no retriever or cannot be fetched.
        RequestError: A setting is out of range.
        DeviceError: The device cannot be used; says what is missing.
    """
    settings = _shared_settings(device, dtype, quantize, threads)
    folder = _hub.find_model(name_or_path, revision=revision, token=token, offline=offline)
    with listener(progress, "loading") as hear:
        return Retriever(_chiasm.Retriever.load(str(folder), progress=hear, **settings))
