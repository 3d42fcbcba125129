"""Qwen2-Audio: Whisper's encoder over one window, neighbouring rows averaged, one matrix, Qwen2."""

import torch
from transformers import (
    Qwen2AudioConfig,
    Qwen2AudioEncoderConfig,
    Qwen2AudioForConditionalGeneration,
    Qwen2AudioProcessor,
    Qwen2Config,
    WhisperFeatureExtractor,
)

from families import sounds, tokenizers
from families.base import decoder

SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|audio_bos|>", "<|AUDIO|>", "<|audio_eos|>"]
AUDIO = "<|audio_bos|><|AUDIO|><|audio_eos|>"
CASES = {
    "one": (f"<|im_start|>user\nAudio 1: {AUDIO}\nWhat is this?<|im_end|>\n<|im_start|>assistant\n",
            [(0, 16_001)]),
    "two": (f"First {AUDIO} then\n{AUDIO}12 differences? 그림", [(9_000, 52_803), (100, 1_700)]),
    "cut": (f"{AUDIO}All of it", [(0, 1_040_000)]),
    "text": ("How many people are there in 1234 sounds, or none?", []),
}  # fmt: skip


def tokenizer():
    return tokenizers.qwen2(SPECIALS)


def make():
    return Qwen2AudioForConditionalGeneration(
        Qwen2AudioConfig(
            audio_config=Qwen2AudioEncoderConfig(
                d_model=24,
                encoder_attention_heads=2,
                encoder_ffn_dim=40,
                encoder_layers=2,
                num_mel_bins=128,
            ),
            text_config=Qwen2Config(**decoder()),
            audio_token_index=tokenizer().token_to_id("<|AUDIO|>"),
            tie_word_embeddings=False,
        )
    )


def load(folder):
    return Qwen2AudioForConditionalGeneration.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager"
    )


def prepare(extractor, samples):
    out = extractor(samples, sampling_rate=16_000, return_attention_mask=True, padding="max_length",
                    return_tensors="np")  # fmt: skip
    return {
        "input_features": out["input_features"],
        "feature_attention_mask": out["attention_mask"].astype("int64"),
    }


def lengths(arrays):
    """Rows of the encoder that are sound, and those that are left when neighbours are averaged."""
    rows = (int(arrays["feature_attention_mask"].sum()) - 1) // 2 + 1
    return rows, (rows - 2) // 2 + 1


def inputs(all_arrays):
    return {
        key: torch.cat([torch.as_tensor(a[key]) for a in all_arrays])
        for key in ("input_features", "feature_attention_mask")
    }


def stages(model, all_arrays, record):
    core = model.model
    tower = core.audio_tower

    def there(which):
        return lambda x: torch.cat([row[: lengths(a)[which]] for row, a in zip(x, all_arrays)])

    if all_arrays:
        record.input(tower.layers[0], "audio.embed", there(0))
        for i, layer in enumerate(tower.layers):
            record.output(layer, f"audio.layers.{i}", there(0))
        record.output(tower.layer_norm, "audio.out", there(1))
        record.output(core.multi_modal_projector, "projector.out", there(1))
    record.decoder(core.language_model)


def turn(words, count):
    """Qwen2AudioProcessor's default template."""
    from jinja2 import Template

    content = [{"type": "audio"}] * count + [{"type": "text", "text": words}]
    template = Qwen2AudioProcessor.default_chat_template.fget(None)
    return Template(template).render(
        messages=[{"role": "user", "content": content}], add_generation_prompt=True
    )


FOLDERS = [
    sounds.Folder(
        name="qwen2_audio_pooled",
        seed=121,
        make=make,
        load=load,
        tokenizer=tokenizer,
        tokenizer_config={"eos_token": "<|endoftext|>", "pad_token": "<|endoftext|>"},
        extractor=lambda: WhisperFeatureExtractor(feature_size=128),
        prepare=prepare,
        tokens=lambda arrays: lengths(arrays)[1],
        inputs=inputs,
        stages=stages,
        placeholder="<|AUDIO|>",
        cases=CASES,
        turn=turn,
        too_short=(1,),
    )
]
