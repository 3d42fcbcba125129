"""Gemma 3: a SigLIP tower pooled to few tokens, image spans that see themselves whole, sliding
layers shorter than such a span, rotary tables by kind of layer."""

from transformers import Gemma3Config, Gemma3ForConditionalGeneration, SiglipVisionConfig

from families import tokenizers
from families.base import HALF, VOCAB, Folder, decoder, ids_of, old_part

IMAGE = "<start_of_image>"
FIRST = ["<start_of_turn>", "<end_of_turn>", IMAGE, "<end_of_image>"]
SOFT = "<image_soft_token>"
TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{% set role = 'model' if message['role'] == 'assistant' else message['role'] %}"
    "{{ '<start_of_turn>' + role + '\\n' }}{% if message['content'] is string %}"
    "{{ message['content'] | trim }}{% else %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}{{ '<start_of_image>' }}"
    "{% elif part['type'] == 'text' %}{{ part['text'] | trim }}{% endif %}{% endfor %}{% endif %}"
    "{{ '<end_of_turn>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start_of_turn>model\\n' }}{% endif %}"
)
USER, MODEL = "<start_of_turn>user\n", "<end_of_turn>\n<start_of_turn>model\n"
CASES = {
    "one": (f"{USER}{IMAGE}What is this?{MODEL}", ["wide.png"]),
    "two": (f"{USER}First {IMAGE} then\n{IMAGE}\n12 differences? 그림{MODEL}", ["tall.png", "dot.png"]),
    "square": (IMAGE, ["square.png"]),
}
TOKENS = {
    "bos_token": "<bos>",
    "eos_token": "<eos>",
    "pad_token": "<pad>",
    "unk_token": "<unk>",
    "extra_special_tokens": {"boi_token": IMAGE, "eoi_token": "<end_of_image>", "image_token": SOFT},
    "boi_token": IMAGE,
    "eoi_token": "<end_of_image>",
    "image_token": SOFT,
    "processor_class": "Gemma3Processor",
}


def tokenizer():
    return tokenizers.gemma([SOFT], FIRST)


def config(layers, pattern, window):
    def make():
        boi, eoi, soft = ids_of(tokenizer(), IMAGE, "<end_of_image>", SOFT)
        text = decoder(
            layers=layers,
            head_dim=20,
            query_pre_attn_scalar=26,
            sliding_window=window,
            sliding_window_pattern=pattern,
            rope_parameters={
                "sliding_attention": {"rope_type": "default", "rope_theta": 1e4},
                "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e6},
            },
            rms_norm_eps=1e-6,
        )
        vision = SiglipVisionConfig(
            hidden_size=24,
            num_attention_heads=2,
            num_hidden_layers=2,
            intermediate_size=40,
            image_size=36,
            patch_size=6,
            vision_use_head=False,
        )
        return Gemma3Config(
            text_config=text,
            vision_config=vision,
            mm_tokens_per_image=9,
            boi_token_index=boi,
            eoi_token_index=eoi,
            image_token_index=soft,
        )

    return make


def published_config(pattern):
    """As gemma-3-4b-it's: `rope_scaling` of the full layers alone; here with the pattern named."""

    def change(config):
        text = config["text_config"]
        rope = text.pop("rope_parameters")
        full = rope["full_attention"]
        dropped = ("layer_types", "use_bidirectional_attention", "_sliding_window_pattern")
        text = {k: v for k, v in text.items() if k not in dropped}
        text = old_part(text, hidden_activation="gelu_pytorch_tanh", rms_norm_eps=1e-6)
        text["rope_scaling"] = {"factor": full["factor"], "rope_type": "linear"}
        text["sliding_window_pattern"] = pattern
        config["text_config"] = text
        config["vision_config"] = old_part(
            config["vision_config"], hidden_act="gelu_pytorch_tanh", layer_norm_eps=1e-6
        )
        config["torch_dtype"] = config.pop("dtype")
        config.pop("tie_word_embeddings")
        return config

    return change


def images(pan):
    return {
        "preprocessor_config.json": {
            "do_convert_rgb": None,
            "do_normalize": True,
            "do_pan_and_scan": True if pan else None,
            "do_rescale": True,
            "do_resize": True,
            "image_mean": HALF,
            "image_processor_type": "Gemma3ImageProcessor",
            "image_seq_length": 9,
            "image_std": HALF,
            "pan_and_scan_max_num_crops": pan.get("pan_and_scan_max_num_crops"),
            "pan_and_scan_min_crop_size": pan.get("pan_and_scan_min_crop_size"),
            "pan_and_scan_min_ratio_to_activate": pan.get("pan_and_scan_min_ratio_to_activate"),
            "processor_class": "Gemma3Processor",
            "resample": 2,
            "rescale_factor": 1 / 255,
            "size": {"height": 36, "width": 36},
        },
        "processor_config.json": {"image_seq_length": 9, "processor_class": "Gemma3Processor"},
    }


def stages(model, record):
    core = model.model
    record.layers(core.vision_tower.encoder.layers)
    record.output(core.vision_tower.post_layernorm, "vision.out")
    record.features(core)
    record.decoder(core.language_model)


def folder(name, seed, layers, pattern, window, pan=None, old=False):
    pan = pan or {}
    return Folder(
        name=name,
        seed=seed,
        config=config(layers, pattern, window),
        model=Gemma3ForConditionalGeneration,
        tokenizer=tokenizer,
        tokenizer_config=TOKENS,
        files=images(pan),
        chat_template=TEMPLATE,
        picture=IMAGE,
        cases=CASES,
        stages=stages,
        mean=HALF,
        std=HALF,
        call={"do_pan_and_scan": True, **pan} if pan else {},
        config_file=published_config(pattern) if old else None,
        end="<end_of_turn>",
    )


PAN = {
    "pan_and_scan_min_crop_size": 36,
    "pan_and_scan_max_num_crops": 3,
    "pan_and_scan_min_ratio_to_activate": 1.2,
}
FOLDERS = [
    # A window of 7 is shorter than a picture's span of 9.
    folder("gemma3_sliding", 69, 3, 3, 7),
    folder("gemma3_pan", 68, 2, 2, 20, PAN, old=True),
]
assert tokenizer().get_vocab_size() <= VOCAB
