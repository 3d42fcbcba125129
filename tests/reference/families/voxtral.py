"""Voxtral: Whisper's encoder over windows of 30 s, four rows side by side, an MLP, Llama. The prompt's
text is mistral-common's in published folders; here its marks are written out."""

from types import SimpleNamespace

import torch
from transformers import (
    LlamaConfig,
    VoxtralConfig,
    VoxtralEncoderConfig,
    VoxtralForConditionalGeneration,
    VoxtralProcessor,
    WhisperFeatureExtractor,
)

from families import sounds, tokenizers
from families.base import decoder

SPECIALS = ["[INST]", "[/INST]", "[AUDIO]", "[BEGIN_AUDIO]", "[TRANSCRIBE]", "<pad>"]
AUDIO = "[BEGIN_AUDIO][AUDIO]"
CASES = {
    "one": (f"[INST]{AUDIO}What is this?[/INST]", [(0, 16_001)]),
    "two": (f"[INST]First {AUDIO} then\n{AUDIO}12 differences? 그림[/INST]",
            [(9_000, 52_803), (100, 480_160)]),
    "long": (f"[INST]{AUDIO}[/INST]lang:en[TRANSCRIBE]", [(0, 1_040_000)]),
    "text": ("How many people are there in 1234 sounds, or none?", []),
}  # fmt: skip


def tokenizer():
    return tokenizers.tekken(SPECIALS)


def make():
    return VoxtralForConditionalGeneration(
        VoxtralConfig(
            audio_config=VoxtralEncoderConfig(
                hidden_size=24,
                num_attention_heads=2,
                intermediate_size=96,
                num_hidden_layers=2,
                num_mel_bins=128,
            ),
            text_config=LlamaConfig(**decoder(head_dim=20)).to_dict(),
            audio_token_id=tokenizer().token_to_id("[AUDIO]"),
            tie_word_embeddings=False,
        )
    )


def load(folder):
    return VoxtralForConditionalGeneration.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager"
    )


def prepare(extractor, samples):
    defaults = VoxtralProcessor.audio_kwargs
    features = VoxtralProcessor._retrieve_input_features(
        SimpleNamespace(feature_extractor=extractor), [samples], **defaults
    )
    return {"input_features": features.numpy()}


def stages(model, all_arrays, record):
    core = model.model
    if all_arrays:
        record.input(core.audio_tower.layers[0], "audio.embed")
        for i, layer in enumerate(core.audio_tower.layers):
            record.output(layer, f"audio.layers.{i}")
        record.output(core.audio_tower.layer_norm, "audio.out")
        record.output(core.multi_modal_projector, "projector.out")
    record.decoder(core.language_model)


FOLDERS = [
    sounds.Folder(
        name="voxtral_windows",
        seed=131,
        make=make,
        load=load,
        tokenizer=tokenizer,
        tokenizer_config={"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"},
        extractor=lambda: WhisperFeatureExtractor(feature_size=128),
        prepare=prepare,
        tokens=lambda arrays: 375 * len(arrays["input_features"]),
        inputs=lambda all_arrays: {
            "input_features": torch.cat([torch.as_tensor(a["input_features"]) for a in all_arrays])
        },
        stages=stages,
        placeholder="[AUDIO]",
        cases=CASES,
        turn=lambda words, count: "[INST]" + AUDIO * count + words + "[/INST]",
    )
]
