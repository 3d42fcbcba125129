"""Qwen2.5-VL: window attention on patches of any number, M-RoPE. Qwen2-VL uses most of it."""

from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

from families import tokenizers
from families.base import CLIP_MEAN, CLIP_STD, Folder, decoder, ids_of, old_part

IMAGE = "<|vision_start|><|image_pad|><|vision_end|>"
SPECIALS = [
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
]
TEMPLATE = (
    "{% for message in messages %}{% if loop.first and message['role'] != 'system' %}"
    "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n{% endif %}"
    "<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}<|im_end|>\n{% else %}"
    "{% for part in message['content'] %}{% if part['type'] == 'image' or 'image' in part %}"
    "<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif part['type'] == 'video' or 'video' in part %}<|vision_start|><|video_pad|><|vision_end|>"
    "{% elif 'text' in part %}{{ part['text'] }}{% endif %}{% endfor %}<|im_end|>\n{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
USER = "<|im_start|>user\n"
CASES = {
    "one": (f"{USER}{IMAGE}What is this?<|im_end|>\n<|im_start|>assistant\n", ["wide.png"]),
    "two": (
        f"{USER}First {IMAGE} then\n\n{IMAGE}12 differences? 그림<|im_end|>\n<|im_start|>assistant\n",
        ["tall.png", "dot.png"],
    ),
    "square": (IMAGE, ["square.png"]),
}


def tokenizer():
    return tokenizers.qwen2(SPECIALS)


TOKENS = {
    "bos_token": None,
    "eos_token": "<|im_end|>",
    "pad_token": "<|endoftext|>",
    "additional_special_tokens": SPECIALS[1:],
    "add_bos_token": False,
    "add_prefix_space": False,
    "errors": "replace",
    "split_special_tokens": False,
}
(IMAGE_ID, VIDEO_ID, START_ID, END_ID, EOS_ID, PAD_ID) = ids_of(
    tokenizer(),
    "<|image_pad|>",
    "<|video_pad|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|im_end|>",
    "<|endoftext|>",
)
PLACES = {
    "image_token_id": IMAGE_ID,
    "video_token_id": VIDEO_ID,
    "vision_start_token_id": START_ID,
    "vision_end_token_id": END_ID,
}


def config():
    text = decoder(
        heads=2,
        rms_norm_eps=1e-6,
        rope_parameters={"rope_type": "default", "rope_theta": 1e6, "mrope_section": [2, 5, 5]},
        bos_token_id=PAD_ID,
        eos_token_id=EOS_ID,
    )
    vision = {
        "depth": 4,
        "hidden_size": 24,
        "num_heads": 2,
        "intermediate_size": 36,
        "patch_size": 6,
        "spatial_merge_size": 2,
        "temporal_patch_size": 2,
        "tokens_per_second": 2,
        "window_size": 36,  # three merged patches a side
        "out_hidden_size": 48,
        "fullatt_block_indexes": [1, 3],
    }
    return Qwen2_5_VLConfig(
        text_config=text, vision_config=vision, tie_word_embeddings=True, **PLACES
    )


def published_config(config):
    """The flat form of Qwen2.5-VL-3B-Instruct's config.json: the text's keys at the outside."""
    text = config.pop("text_config")
    vision = config.pop("vision_config")
    rope = text.pop("rope_parameters")
    text = old_part(text)
    for key in ("model_type", "layer_types"):
        text.pop(key, None)
    kept = ("depth", "hidden_act", "hidden_size", "intermediate_size", "num_heads", "out_hidden_size",
            "patch_size", "spatial_merge_size", "temporal_patch_size", "tokens_per_second",
            "window_size", "fullatt_block_indexes")
    return {
        "architectures": config["architectures"],
        "hidden_act": "silu",
        **text,
        "model_type": config["model_type"],
        **PLACES,
        "rope_theta": rope["rope_theta"],
        "rope_scaling": {"type": "mrope", "mrope_section": rope["mrope_section"]},
        "tie_word_embeddings": True,
        "torch_dtype": "bfloat16",
        "use_sliding_window": False,
        "sliding_window": 32768,
        "max_window_layers": 70,
        "vision_config": {
            **{k: vision[k] for k in kept if k in vision},
            "in_chans": 3,
            "spatial_patch_size": vision["patch_size"],
            "model_type": "qwen2_5_vl",
        },
    }


def images(patch, least, most, processor="Qwen2_5_VLProcessor"):
    return {
        "preprocessor_config.json": {
            "min_pixels": least,
            "max_pixels": most,
            "patch_size": patch,
            "temporal_patch_size": 2,
            "merge_size": 2,
            "image_mean": CLIP_MEAN,
            "image_std": CLIP_STD,
            "image_processor_type": "Qwen2VLImageProcessor",
            "processor_class": processor,
        }
    }


def stages(model, record):
    tower = model.model.visual
    record.layers(tower.blocks)  # rows in the order of the windows, as the reference has them
    record.output(tower.merger.ln_q, "vision.out")
    record.features(model.model)
    record.decoder(model.model.language_model)


def positions(model, inputs):
    """Of each row of the prompt: time, height, width. [3, n]"""
    keys = ("image_grid_thw", "video_grid_thw", "second_per_grid_ts")
    more = {k: inputs[k] for k in keys if k in inputs}
    return model.model.get_rope_index(
        inputs["input_ids"], mm_token_type_ids=inputs["mm_token_type_ids"], **more
    )[0][:, 0]


FOLDERS = [
    Folder(
        name="qwen2_5_vl_windows",
        seed=36,
        config=config,
        model=Qwen2_5_VLForConditionalGeneration,
        tokenizer=tokenizer,
        tokenizer_config=TOKENS,
        # Between 4 and 40 merged patches: "wide" and "tall" are made smaller, "dot" larger.
        files=images(6, 4 * 144, 40 * 144),
        chat_template=TEMPLATE,
        picture=IMAGE,
        cases=CASES,
        stages=stages,
        positions=positions,
        config_file=published_config,
        end="<|im_end|>",
    )
]
