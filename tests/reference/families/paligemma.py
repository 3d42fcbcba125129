"""PaliGemma 1 and 2: pictures first, then the beginning token, the words and a line feed; all of the
prompt sees all of it."""

import torch
from transformers import (
    Gemma2Config,
    GemmaConfig,
    PaliGemmaConfig,
    PaliGemmaForConditionalGeneration,
    SiglipVisionConfig,
)

from families import tokenizers
from families.base import HALF, Folder, decoder

CASES = {
    "one": ("<image>What is this?", ["wide.png"]),
    "two": ("<image><image>12 differences? 그림", ["tall.png", "dot.png"]),
    "square": ("<image>", ["square.png"]),
}
TOKENS = {
    "bos_token": "<bos>",
    "eos_token": "<eos>",
    "pad_token": "<pad>",
    "unk_token": "<unk>",
    "additional_special_tokens": ["<image>"],
    "processor_class": "PaliGemmaProcessor",
}


def tokenizer():
    return tokenizers.gemma(["<image>"])


def config(text):
    return lambda: PaliGemmaConfig(
        vision_config=SiglipVisionConfig(
            hidden_size=24,
            num_attention_heads=2,
            num_hidden_layers=2,
            intermediate_size=40,
            image_size=24,
            patch_size=6,
            vision_use_head=False,
        ),
        text_config=text,
        image_token_index=tokenizer().token_to_id("<image>"),
        projection_dim=48,
        hidden_size=48,
    )


IMAGES = {
    "preprocessor_config.json": {
        "do_convert_rgb": None,
        "do_normalize": True,
        "do_rescale": True,
        "do_resize": True,
        "image_mean": HALF,
        "image_processor_type": "SiglipImageProcessor",
        "image_seq_length": 16,
        "image_std": HALF,
        "processor_class": "PaliGemmaProcessor",
        "resample": 3,
        "rescale_factor": 1 / 255,
        "size": {"height": 24, "width": 24},
    }
}


def stages(model, record):
    core = model.model
    record.layers(core.vision_tower.encoder.layers)
    record.output(core.vision_tower.post_layernorm, "vision.out")
    record.features(core)
    record.decoder(core.language_model)


def folder(name, seed, text):
    return Folder(
        name=name,
        seed=seed,
        config=config(text),
        model=PaliGemmaForConditionalGeneration,
        tokenizer=tokenizer,
        tokenizer_config=TOKENS,
        files=IMAGES,
        chat_template="",  # published folders have none
        picture="<image>",
        cases=CASES,
        stages=stages,
        text_prompt=None,  # the processor wants a picture
        positions=lambda model, inputs: 1 + torch.arange(inputs["input_ids"].shape[1])[None],
        mean=HALF,
        std=HALF,
        answer_type=1,  # 0 is the prefix
        end="<eos>",
    )


FOLDERS = [
    folder("paligemma_prefix", 105, GemmaConfig(**decoder(head_dim=20))),
    folder(
        "paligemma_2",
        103,
        Gemma2Config(
            **decoder(
                head_dim=20,
                kv=2,
                query_pre_attn_scalar=26,
                sliding_window=9,
                attn_logit_softcapping=5.0,
                final_logit_softcapping=12.0,
            )
        ),
    ),
]
