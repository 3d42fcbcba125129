"""InternVL: tiles and a thumbnail, layer scale, neighbours joined before the projector."""

from transformers import (
    InternVLConfig,
    InternVLForConditionalGeneration,
    InternVLVisionConfig,
    LlamaConfig,
    Qwen2Config,
)

from families import tokenizers
from families.base import IMAGENET_MEAN, IMAGENET_STD, Folder, decoder

IMAGE = "<IMG_CONTEXT>"
SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<img>", "</img>", IMAGE, "<video>"]
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}<IMG_CONTEXT>\n"
    "{% elif part['type'] == 'video' %}<video>\n"
    "{% elif part['type'] == 'text' %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
USER = "<|im_start|>user\n"
CASES = {
    "one": (f"{USER}{IMAGE}\nWhat is this?<|im_end|>\n<|im_start|>assistant\n", ["wide.png"]),
    "two": (
        f"{USER}First {IMAGE} then\n{IMAGE}\n12 differences? 그림<|im_end|>\n<|im_start|>assistant\n",
        ["tall.png", "dot.png"],
    ),
    "square": (IMAGE, ["square.png"]),
}
TOKENS = {
    "eos_token": "<|im_end|>",
    "pad_token": "<|endoftext|>",
    "extra_special_tokens": {
        "context_image_token": IMAGE,
        "end_image_token": "</img>",
        "start_image_token": "<img>",
        "video_token": "<video>",
    },
    "context_image_token": IMAGE,
    "end_image_token": "</img>",
    "start_image_token": "<img>",
    "video_token": "<video>",
    "processor_class": "InternVLProcessor",
}


def tokenizer():
    return tokenizers.qwen2(SPECIALS)


def config(text, **more):
    def make():
        vision = InternVLVisionConfig(
            hidden_size=24,
            num_attention_heads=2,
            num_hidden_layers=3,
            intermediate_size=40,
            image_size=[36, 36],
            patch_size=[6, 6],
            **more,
        )
        return InternVLConfig(
            vision_config=vision,
            text_config=text,
            image_token_id=tokenizer().token_to_id(IMAGE),
            image_seq_length=9,
            tie_word_embeddings=text.tie_word_embeddings,
        )

    return make


def images(most):
    """Published files say that nothing is cut; the processor cuts all the same."""
    common = {"do_convert_rgb": True, "do_normalize": True, "do_rescale": True, "do_resize": True,
              "image_mean": IMAGENET_MEAN, "image_std": IMAGENET_STD, "resample": 3,
              "rescale_factor": 1 / 255, "size": {"height": 36, "width": 36},
              "processor_class": "InternVLProcessor"}
    return {
        "preprocessor_config.json": {
            **common,
            "crop_to_patches": False,
            "image_processor_type": "GotOcr2ImageProcessor",
            "max_patches": most,
            "min_patches": 1,
        },
        "video_preprocessor_config.json": {**common, "video_processor_type": "InternVLVideoProcessor"},
        "processor_config.json": {"image_seq_length": 9, "processor_class": "InternVLProcessor"},
    }


def stages(model, record):
    core = model.model
    record.layers(core.vision_tower.encoder.layer)
    # The class row is left out; neighbours are not yet joined.
    record.output(core.vision_tower.layernorm, "vision.out", lambda x: x[:, 1:])
    record.features(core)
    record.decoder(core.language_model)


def folder(name, seed, most, text, **vision):
    return Folder(
        name=name,
        seed=seed,
        config=config(text, **vision),
        model=InternVLForConditionalGeneration,
        tokenizer=tokenizer,
        tokenizer_config=TOKENS,
        files=images(most),
        chat_template=TEMPLATE,
        picture=IMAGE,
        cases=CASES,
        stages=stages,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        end="<|im_end|>",
    )


FOLDERS = [
    folder(
        "internvl_tiles",
        51,
        6,
        Qwen2Config(**decoder(rope_parameters={"rope_type": "default", "rope_theta": 1e6})),
        attention_bias=True,
    ),
    # As the largest: norms of queries and keys over all heads, root-mean-square norms, no biases.
    folder(
        "internvl_qk_norm",
        58,
        3,
        LlamaConfig(**decoder(kv=2, tie_word_embeddings=True)),
        use_qk_norm=True,
        norm_type="rms_norm",
        use_mean_pooling=False,
    ),
]
