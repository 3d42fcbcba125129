"""Ultravox as tests/reference/ultravox_reference.py reads its config: eight rows of Whisper's encoder side
by side, a gated MLP between norms, Llama."""

import torch
from transformers import WhisperFeatureExtractor
from ultravox_reference import WINDOW, Ultravox

from families import sounds, tokenizers
from families.base import decoder

SPECIALS = ["<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]
RESERVED = "<|reserved_special_token_0|>"
CASES = {
    "one": ("What is this? <|audio|>", [(0, 16_001)]),
    "two": ("First <|audio|> then\n<|audio|>12 differences? 그림", [(9_000, 52_803), (100, 480_160)]),
    "long": ("<|audio|>All of it", [(0, 1_040_000)]),
    "text": ("How many people are there in 1234 sounds, or none?", []),
}


def tokenizer(sound):
    return tokenizers.llama3([*SPECIALS, sound], begin="<|begin_of_text|>")


def make(sound, inside):
    return Ultravox(
        {
            "model_type": "ultravox",
            "audio_config": {
                "model_type": "whisper",
                "d_model": 24,
                "encoder_attention_heads": 2,
                "encoder_ffn_dim": 40,
                "encoder_layers": 2,
                "num_mel_bins": 80,
                "max_source_positions": WINDOW // 2,
            },
            "text_config": {"model_type": "llama", **decoder()},
            "audio_token_index": tokenizer(sound).token_to_id(sound),
            "hidden_size": 56,
            "projector_act": "swiglu",
            "projector_ln_mid": inside,
            "stack_factor": 8,
            "norm_init": 0.4,
        }
    )


def prepare(extractor, samples):
    out = extractor(samples, sampling_rate=16_000, padding="longest", truncation=False,
                    pad_to_multiple_of=extractor.hop_length, return_tensors="np")  # fmt: skip
    return {"input_features": out["input_features"]}


def windows(arrays):
    mel = torch.as_tensor(arrays["input_features"][0])
    return list(mel.split(WINDOW, dim=1))


def tokens(arrays):
    return sum(-(-((mel.shape[1] + 1) // 2) // 8) for mel in windows(arrays))


def stages(model, all_arrays, record):
    if all_arrays:
        tower = model.audio_tower
        record.input(tower.layers[0], "audio.embed")
        for i, layer in enumerate(tower.layers):
            record.output(layer, f"audio.layers.{i}")
        record.output(tower.layer_norm, "audio.out")
        record.output(model.multi_modal_projector, "projector.out")
    record.decoder(model.language_model.model)


def greedy(model, inputs, count, eos_token_id=None, repetition_penalty=1.0):
    return model.greedy(inputs["input_ids"], inputs.get("windows", ()), count, repetition_penalty)


def folder(name, seed, sound, inside):
    return sounds.Folder(
        name=name,
        seed=seed,
        make=lambda: make(sound, inside),
        load=Ultravox.load,
        tokenizer=lambda: tokenizer(sound),
        tokenizer_config={"bos_token": "<|begin_of_text|>", "eos_token": "<|eot_id|>"},
        extractor=WhisperFeatureExtractor,
        prepare=prepare,
        tokens=tokens,
        inputs=lambda all_arrays: {"windows": [mel for a in all_arrays for mel in windows(a)]},
        stages=stages,
        placeholder=sound,
        cases={n: (p.replace("<|audio|>", sound), s) for n, (p, s) in CASES.items()},
        save=Ultravox.save,
        greedy=greedy,
        too_short=(1,),
    )


FOLDERS = [
    folder("ultravox_mid", 141, "<|audio|>", inside=True),
    folder("ultravox_post", 142, RESERVED, inside=False),
]
