"""LLaVA: a CLIP tower, features of its last layer but one without the class row, two linear layers."""

from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration

from families import tokenizers
from families.base import CLIP_MEAN, CLIP_STD, VOCAB, Folder, decoder, old_part

IMAGE = "<image>"
TEMPLATE = (
    "{% for message in messages %}{{ message['role'].upper() + ': ' }}"
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}{{ '<image>\\n' }}"
    "{% elif part['type'] == 'text' %}{{ part['text'] }}{% endif %}{% endfor %}{{ ' ' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"
)
CASES = {
    "one": ("USER: <image>\nWhat is this? ASSISTANT:", ["wide.png"]),
    "two": ("USER: First <image> then\n<image>\n12 differences? 그림 ASSISTANT:", ["tall.png", "dot.png"]),
    "square": ("<image>", ["square.png"]),
}


def tokenizer():
    return tokenizers.llama2([IMAGE, "<pad>"])


def vision(**more):
    return CLIPVisionConfig(
        hidden_size=24,
        num_attention_heads=2,
        num_hidden_layers=4,
        intermediate_size=44,
        image_size=42,
        patch_size=7,
        projection_dim=24,
        **more,
    )


def config(layer, strategy, act, **text):
    image = tokenizer().token_to_id(IMAGE)

    def make():
        return LlavaConfig(
            vision_config=vision(hidden_act=act),
            text_config=LlamaConfig(**decoder(**text)),
            image_token_index=image,
            image_seq_length=36,
            vision_feature_layer=layer,
            vision_feature_select_strategy=strategy,
            pad_token_id=tokenizer().token_to_id("<pad>"),
        )

    return make


def stages(model, record):
    core = model.model
    layer = core.config.vision_feature_layer
    encoder = core.vision_tower.encoder.layers
    used = encoder[: len(encoder) + 1 + (layer if isinstance(layer, int) else max(layer))]
    record.layers(used)
    record.input(core.multi_modal_projector.linear_1, "vision.out")
    record.output(core.multi_modal_projector, "projector.out")
    record.decoder(core.language_model)


def images(crop, strategy):
    """preprocessor_config.json and processor_config.json; published ones pad to no square."""
    return {
        "preprocessor_config.json": {
            "crop_size": {"height": crop, "width": crop},
            "do_center_crop": True,
            "do_convert_rgb": True,
            "do_normalize": True,
            "do_rescale": True,
            "do_resize": True,
            "image_mean": CLIP_MEAN,
            "image_processor_type": "CLIPImageProcessor",
            "image_std": CLIP_STD,
            "processor_class": "LlavaProcessor",
            "resample": 3,
            "rescale_factor": 1 / 255,
            "size": {"shortest_edge": crop},
        },
        "processor_config.json": {
            "image_token": IMAGE,
            "num_additional_image_tokens": 1,
            "patch_size": 7,
            "processor_class": "LlavaProcessor",
            "vision_feature_select_strategy": strategy,
        },
    }


TOKENS = {
    "bos_token": "<s>",
    "eos_token": "</s>",
    "unk_token": "<unk>",
    "pad_token": "<pad>",
    "extra_special_tokens": {"image_token": IMAGE},
    "image_token": IMAGE,
    "processor_class": "LlavaProcessor",
}


def published(name):
    return name.replace("vision_tower.", "vision_tower.vision_model.", 1)


def published_config(config):
    """What is at its default is left out, as in llava-1.5's config.json."""
    config["torch_dtype"] = config.pop("dtype")
    config["text_config"] = old_part(config["text_config"], head_dim=24)
    config["vision_config"] = old_part(config["vision_config"], hidden_act="quick_gelu")
    return config


def folder(name, seed, layer, strategy, act, old=False, **text):
    return Folder(
        name=name,
        seed=seed,
        config=config(layer, strategy, act, **text),
        model=LlavaForConditionalGeneration,
        tokenizer=tokenizer,
        tokenizer_config=TOKENS,
        files=images(42, strategy),
        chat_template=TEMPLATE,
        picture=IMAGE,
        cases=CASES,
        stages=stages,
        publish=published if old else None,
        config_file=published_config if old else None,
        end="</s>",
    )


FOLDERS = [
    folder("llava_clip", 21, -2, "default", "quick_gelu", old=True, rms_norm_eps=1e-5),
    # All rows, the class row too, of two layers side by side; the exact GELU.
    folder("llava_full", 22, [-3, -1], "full", "gelu", kv=2),
]
assert tokenizer().get_vocab_size() <= VOCAB
