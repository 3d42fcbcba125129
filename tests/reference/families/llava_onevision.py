"""LLaVA-OneVision: as LLaVA-NeXT with a SigLIP tower; many tiles' features are made fewer; several
pictures in a prompt are not cut into tiles."""

from transformers import (
    LlavaOnevisionConfig,
    LlavaOnevisionForConditionalGeneration,
    Qwen2Config,
    SiglipVisionConfig,
)

from families import tokenizers
from families.base import HALF, Folder, decoder, ids_of

SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<image>", "<video>"]
SIDES = [20 * n for n in range(1, 7)]
PINPOINTS = [[height, width] for height in SIDES for width in SIDES]
TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + ' ' }}"
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}{{ '<image>' }}{% endif %}"
    "{% if part['type'] == 'video' %}{{ '<video>' }}{% endif %}{% endfor %}"
    "{% for part in message['content'] %}{% if part['type'] == 'text' %}{{ '\\n' + part['text'] }}"
    "{% endif %}{% endfor %}{{ '<|im_end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
USER, ANSWER = "<|im_start|>user ", "<|im_end|><|im_start|>assistant\n"
CASES = {
    "one": (f"{USER}<image>\nWhat is this?{ANSWER}", ["wide.png"]),
    "two": (f"{USER}First <image> then\n<image>12 differences? 그림{ANSWER}", ["tall.png", "dot.png"]),
    "square": ("<image>", ["square.png"]),
    "dot": (f"{USER}<image>\nWhat is this?{ANSWER}", ["dot.png"]),
}
TOKENS = {
    "eos_token": "<|im_end|>",
    "pad_token": "<|endoftext|>",
    "additional_special_tokens": ["<|im_start|>", "<|im_end|>"],
    "extra_special_tokens": {"image_token": "<image>", "video_token": "<video>"},
    "image_token": "<image>",
    "video_token": "<video>",
    "processor_class": "LlavaOnevisionProcessor",
}


def tokenizer():
    return tokenizers.qwen2(SPECIALS)


def config():
    image, video = ids_of(tokenizer(), "<image>", "<video>")
    return LlavaOnevisionConfig(
        vision_config=SiglipVisionConfig(
            hidden_size=24,
            num_attention_heads=2,
            num_hidden_layers=3,
            intermediate_size=40,
            image_size=20,
            patch_size=4,
            vision_use_head=False,
        ),
        text_config=Qwen2Config(
            **decoder(rope_parameters={"rope_type": "default", "rope_theta": 1e6})
        ),
        image_token_index=image,
        video_token_index=video,
        image_grid_pinpoints=PINPOINTS,
        vision_aspect_ratio="anyres_max_9",
    )


def images():
    common = {"do_convert_rgb": True, "do_normalize": True, "do_rescale": True, "do_resize": True,
              "image_mean": HALF, "image_std": HALF, "resample": 3, "rescale_factor": 1 / 255,
              "size": {"height": 20, "width": 20}, "processor_class": "LlavaOnevisionProcessor"}
    return {
        "preprocessor_config.json": {
            **common,
            "do_pad": True,
            "image_grid_pinpoints": PINPOINTS,
            "image_processor_type": "LlavaOnevisionImageProcessor",
        },
        "video_preprocessor_config.json": {
            **common,
            "video_processor_type": "LlavaOnevisionVideoProcessor",
        },
        "processor_config.json": {
            "image_token": "<image>",
            "num_image_tokens": 25,
            "processor_class": "LlavaOnevisionProcessor",
            "video_token": "<video>",
            "vision_aspect_ratio": "anyres_max_9",
            "vision_feature_select_strategy": "full",
        },
    }


def stages(model, record):
    core = model.model
    record.layers(core.vision_tower.encoder.layers)
    record.input(core.multi_modal_projector.linear_1, "vision.out")
    record.features(core)
    record.decoder(core.language_model)


FOLDERS = [
    Folder(
        name="llava_onevision_anyres",
        seed=92,
        config=config,
        model=LlavaOnevisionForConditionalGeneration,
        tokenizer=tokenizer,
        tokenizer_config=TOKENS,
        files=images(),
        chat_template=TEMPLATE,
        picture="<image>",
        cases=CASES,
        stages=stages,
        mean=HALF,
        std=HALF,
        end="<|im_end|>",
    )
]
