"""Which modules of transformers stand behind Chiasm's taps, family by family."""

from __future__ import annotations

from typing import Any

import torch

from .keeping import Keeper


def hook(family: str, model: Any, inputs: dict[str, Any], record: Keeper) -> None:
    """Hooks whatever of the family's stages is known; the decoder's at least."""
    if family == "gpt2":
        record.layers(model.transformer.h, "decoder")
        record.output(model.transformer.ln_f, "decoder.norm")
        return
    core = model.model
    if family == "whisper":
        record.layers(core.encoder.layers, "audio")
        record.output(core.encoder.layer_norm, "audio.out")
        _decoder(core.decoder, record)
        return
    if "input_features" in inputs:
        _HEARING[family](core, inputs, record)
    elif "pixel_values" in inputs and family in _SEEING:
        _SEEING[family](core, record)
    for name in ("language_model", "text_model"):
        if hasattr(core, name):
            core = getattr(core, name)
            break
    _decoder(core, record)


def _decoder(text: Any, record: Keeper) -> None:
    record.layers(text.layers, "decoder")
    norms = (getattr(text, n, None) for n in ("norm", "embedding_norm", "layer_norm"))
    record.output(next(n for n in norms if n is not None), "decoder.norm")


def _smolvlm(core: Any, record: Keeper) -> None:
    tower = core.vision_model
    record.output(tower.embeddings, "vision.embed")
    for i, layer in enumerate(tower.encoder.layers):
        record.output(layer, f"vision.layers.{i}")
    record.output(tower.post_layernorm, "vision.out")
    record.output(core.connector, "projector.out")


def _siglip(core: Any, record: Keeper) -> None:
    record.layers(core.vision_tower.encoder.layers, "vision")
    record.output(core.vision_tower.post_layernorm, "vision.out")
    record.features(core)


def _llava(core: Any, record: Keeper) -> None:
    layer = core.config.vision_feature_layer
    layers = core.vision_tower.encoder.layers
    last = layer if isinstance(layer, int) else max(layer)
    record.layers(layers[: len(layers) + 1 + last if last < 0 else last], "vision")
    record.input(core.multi_modal_projector.linear_1, "vision.out")
    record.features(core)


def _internvl(core: Any, record: Keeper) -> None:
    record.layers(core.vision_tower.encoder.layer, "vision")
    # Without the class row; neighbours are not yet joined.
    record.output(core.vision_tower.layernorm, "vision.out", lambda x: x[:, 1:])
    record.features(core)


def _qwen(core: Any, record: Keeper) -> None:
    merger = core.visual.merger
    record.layers(core.visual.blocks, "vision")
    record.output(merger.ln_q if hasattr(merger, "ln_q") else merger.norm, "vision.out")
    record.features(core)


def _mistral3(core: Any, record: Keeper) -> None:
    record.layers(core.vision_tower.transformer.layers, "vision")
    record.output(core.multi_modal_projector.norm, "vision.out")
    record.features(core)


def _lfm2_vl(core: Any, record: Keeper) -> None:
    seen: dict[str, Any] = {}
    tower = core.vision_tower

    def remember(_: Any, __: Any, kwargs: Any) -> None:
        seen.update(mask=kwargs["pixel_attention_mask"].bool())

    record.handles.append(tower.register_forward_pre_hook(remember, with_kwargs=True))
    record.layers(tower.encoder.layers, "vision", lambda x: x[seen["mask"]])  # without padding
    record.output(tower.post_layernorm, "vision.out", lambda x: x[seen["mask"]])
    record.features(core)


def _voxtral(core: Any, inputs: dict[str, Any], record: Keeper) -> None:
    record.layers(core.audio_tower.layers, "audio")
    record.output(core.audio_tower.layer_norm, "audio.out")
    record.output(core.multi_modal_projector, "projector.out")


def _qwen2_audio(core: Any, inputs: dict[str, Any], record: Keeper) -> None:
    frames = inputs["feature_attention_mask"].sum(-1)
    rows = (frames - 1) // 2 + 1
    pooled = (rows - 2) // 2 + 1

    def there(counts: Any) -> Any:
        return lambda x: torch.cat([row[:n] for row, n in zip(x, counts.tolist())])

    record.layers(core.audio_tower.layers, "audio", there(rows))
    record.output(core.audio_tower.layer_norm, "audio.out", there(pooled))
    record.output(core.multi_modal_projector, "projector.out", there(pooled))


_SEEING = {
    "smolvlm": _smolvlm,
    "idefics3": _smolvlm,
    "gemma3": _siglip,
    "paligemma": _siglip,
    "llava": _llava,
    "llava_next": _llava,
    "llava_onevision": _llava,
    "internvl": _internvl,
    "qwen2_vl": _qwen,
    "qwen2_5_vl": _qwen,
    "qwen3_vl": _qwen,
    "mistral3": _mistral3,
    "lfm2_vl": _lfm2_vl,
}
_HEARING = {"voxtral": _voxtral, "qwen2_audio": _qwen2_audio}
