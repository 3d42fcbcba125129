"""From words, pictures and sounds to a model's inputs, by the processor of its own folder."""

from __future__ import annotations

import json
import pathlib
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
import transformers

_RATE = 16_000


class Prompts:
    """The folder's processor, or its tokenizer where it has no media."""

    def __init__(self, job: dict[str, Any]):
        self._family, self._folder = job["family"], pathlib.Path(job["model"])
        self._media = {m["name"]: m for kind in ("images", "sounds") for m in job[kind]}
        self._processor: Any = None
        self._extractor: Any = None
        if job["kind"] == "pictures" or self._family == "qwen2_audio":
            self._processor = transformers.AutoProcessor.from_pretrained(self._folder)
            self._tokenizer = self._processor.tokenizer
        else:
            self._tokenizer = transformers.AutoTokenizer.from_pretrained(self._folder)
        if job["kind"] in ("sounds", "speech"):
            self._extractor = transformers.AutoFeatureExtractor.from_pretrained(self._folder)

    def image_std(self) -> list[float] | None:
        inner = getattr(self._processor, "image_processor", None)
        std = getattr(inner, "image_std", None)
        return None if std is None else [float(x) for x in std]

    def arrays(self, kind: str, medium: dict[str, Any]) -> dict[str, Any] | None:
        """What the processor makes of one picture or sound alone, as arrays by name."""
        if kind == "images":
            text = self._placeholders(1, 0)
            out = self._processor(
                text=[text], images=[[_image(medium)]], return_tensors="np", **self._options()
            )
            return {k: np.asarray(v) for k, v in out.items()}
        return self._hear(_samples(medium))

    def inputs(self, case: dict[str, Any]) -> tuple[str, bool, dict[str, Any]]:
        """The raw prompt, whether the tokenizer adds its special tokens to it, and the inputs."""
        images = [_image(self._media[name]) for name in case["images"]]
        sounds = [_samples(self._media[name]) for name in case["sounds"]]
        if self._family == "whisper":
            return self._speech(sounds[0])
        prompt = self._prompt(case["words"], len(images), len(sounds))
        if sounds:
            return self._sounds(prompt, sounds)
        if images:
            prompt, out = self._once_begun(
                prompt,
                lambda text: self._processor(
                    text=[text], images=[images], return_tensors="pt", **self._options()
                ),
            )
            return prompt, True, {k: v for k, v in out.items() if k != "labels"}
        special = self._processor is not None or not self._template()
        tokenize = self._processor or self._tokenizer
        options = {} if self._processor is not None else {"add_special_tokens": special}
        prompt, out = self._once_begun(
            prompt, lambda text: tokenize(text=[text], return_tensors="pt", **options)
        )
        return prompt, special, {k: v for k, v in out.items() if k != "labels"}

    def _once_begun(self, prompt: str, inputs_of: Any) -> tuple[str, Any]:
        """A template may write the beginning token, and the tokenizer add it: one is enough."""
        out = inputs_of(prompt)
        begin, ids = self._tokenizer.bos_token_id, out["input_ids"][0].tolist()
        if begin is not None and ids[:2] == [begin] * 2:
            prompt = prompt.removeprefix(self._tokenizer.bos_token)
            out = inputs_of(prompt)
        return prompt, out

    def _options(self) -> dict[str, Any]:
        """Gemma 3's processor looks at its own file for everything but whether to pan and scan."""
        file = self._folder / "preprocessor_config.json"
        if self._family != "gemma3" or not file.exists():
            return {}
        settings = json.loads(file.read_text(encoding="utf-8"))
        if not settings.get("do_pan_and_scan"):
            return {}
        names = ("min_crop_size", "max_num_crops", "min_ratio_to_activate")
        pan = {f"pan_and_scan_{name}": settings.get(f"pan_and_scan_{name}") for name in names}
        return {"do_pan_and_scan": True, **{k: v for k, v in pan.items() if v is not None}}

    def _template(self) -> Any:
        return getattr(self._processor, "chat_template", None) or self._tokenizer.chat_template

    def _placeholders(self, images: int, sounds: int) -> str:
        """Without a template: what stands for the media in a prompt's text."""
        p = self._processor
        if self._family.startswith("qwen") and images:
            return "<|vision_start|><|image_pad|><|vision_end|>" * images
        if sounds:
            around = "[BEGIN_AUDIO][AUDIO]" if self._family == "voxtral" else None
            return (around or f"<|audio_bos|>{p.audio_token}<|audio_eos|>") * sounds
        if self._family == "gemma3":
            return str(p.boi_token) * images
        return str(getattr(p, "image_token", "<image>")) * images

    def _prompt(self, words: str, images: int, sounds: int) -> str:
        template = self._template()
        if template and not sounds:
            content: Any = [{"type": "image"}] * images + [{"type": "text", "text": words}]
            if self._processor is None:
                content = words
            messages = [{"role": "user", "content": content}]
            renderer = self._processor or self._tokenizer
            text: str = renderer.apply_chat_template(
                messages, add_generation_prompt=True, tokenize=False
            )
            return text
        return self._placeholders(images, sounds) + words

    def _hear(self, samples: Any) -> dict[str, Any]:
        if self._family == "voxtral":  # the processor's own way to windows of 30 s
            features = transformers.VoxtralProcessor._retrieve_input_features(
                SimpleNamespace(feature_extractor=self._extractor),
                [samples],
                **transformers.VoxtralProcessor.audio_kwargs,
            )
            return {"input_features": features.numpy()}
        mask = self._family == "qwen2_audio"
        out = self._extractor(
            samples,
            sampling_rate=_RATE,
            return_tensors="np",
            **({"return_attention_mask": True, "padding": "max_length"} if mask else {}),
        )
        arrays = {"input_features": out["input_features"]}
        if mask:
            arrays["feature_attention_mask"] = out["attention_mask"].astype("int64")
        return arrays

    def _sounds(self, prompt: str, sounds: list[Any]) -> tuple[str, bool, dict[str, Any]]:
        if self._family == "qwen2_audio":
            out = self._processor(
                text=[prompt], audio=sounds, sampling_rate=_RATE, return_tensors="pt"
            )
            return prompt, True, dict(out)
        all_arrays = [self._hear(samples) for samples in sounds]
        pieces = prompt.split("[AUDIO]")
        text = pieces[0]
        for arrays, after in zip(all_arrays, pieces[1:]):
            text += "[AUDIO]" * (375 * len(arrays["input_features"])) + after
        ids = self._tokenizer([text], return_tensors="pt")
        features = torch.cat([torch.as_tensor(a["input_features"]) for a in all_arrays])
        return prompt, True, {**ids, "input_features": features}

    def _speech(self, samples: Any) -> tuple[str, bool, dict[str, Any]]:
        """Whisper: English, written down, without times; English models know no other."""
        names = ["<|startoftranscript|>", "<|en|>", "<|transcribe|>", "<|notimestamps|>"]
        vocabulary = self._tokenizer.get_vocab()
        settings = self._folder / "generation_config.json"
        several = True
        if settings.exists():
            several = json.loads(settings.read_text(encoding="utf-8")).get("is_multilingual", True)
        names = [n for n in names if n in vocabulary and (several or n not in names[1:3])]
        ids = torch.tensor([[vocabulary[name] for name in names]])
        features = torch.as_tensor(self._hear(samples)["input_features"])
        return "".join(names), False, {"input_features": features, "decoder_input_ids": ids}


def _image(medium: dict[str, Any]) -> Any:
    from PIL import Image, ImageOps

    if medium["file"].endswith(".npy"):
        return Image.fromarray(np.load(medium["file"], allow_pickle=False))
    return ImageOps.exif_transpose(Image.open(medium["file"])).convert("RGB")


def _samples(medium: dict[str, Any]) -> Any:
    return np.load(medium["file"], allow_pickle=False)
