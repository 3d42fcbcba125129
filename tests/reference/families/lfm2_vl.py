"""LFM2-VL: a SigLIP 2 tower on padded patches, tiles with row and column tokens, a decoder of short
convolutions and attention."""

from transformers import (
    Lfm2Config,
    Lfm2VlConfig,
    Lfm2VlForConditionalGeneration,
    Siglip2VisionConfig,
)

from families import tokenizers
from families.base import HALF, VOCAB, Folder, decoder

FIRST = ["<|pad|>", "<|startoftext|>", "<|endoftext|>", "<|im_start|>", "<|im_end|>"]
TILES = [f"<|img_row_{r}_col_{c}|>" for r in range(1, 11) for c in range(1, 11) if r * c <= 10]
SPECIALS = ["<image>", "<|image_start|>", "<|image_end|>", "<|img_thumbnail|>", *TILES]
TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' }}"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}{{ '<image>' }}"
    "{% elif part['type'] == 'text' %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}"
    "{{ '<|im_end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
USER, ANSWER = "<|startoftext|><|im_start|>user\n", "<|im_end|>\n<|im_start|>assistant\n"
CASES = {
    "one": (f"{USER}<image>What is this?{ANSWER}", ["wide.png"]),
    "two": (f"{USER}First <image> then\n<image>12 differences? 그림{ANSWER}", ["tall.png", "dot.png"]),
    "square": ("<image>", ["square.png"]),
}
TOKENS = {
    "bos_token": "<|startoftext|>",
    "eos_token": "<|im_end|>",
    "pad_token": "<|pad|>",
    "extra_special_tokens": {
        "image_token": "<image>",
        "image_start_token": "<|image_start|>",
        "image_end_token": "<|image_end|>",
        "image_thumbnail_token": "<|img_thumbnail|>",
    },
    "image_token": "<image>",
    "image_start_token": "<|image_start|>",
    "image_end_token": "<|image_end|>",
    "image_thumbnail_token": "<|img_thumbnail|>",
    "processor_class": "Lfm2VlProcessor",
}


def tokenizer():
    return tokenizers.llama3(SPECIALS, FIRST, "<|startoftext|>")


def config():
    text = decoder(
        layers=4,
        inter=60,
        layer_types=["conv", "full_attention", "conv", "full_attention"],
        conv_L_cache=3,
        block_auto_adjust_ff_dim=True,  # two thirds of inter, up to a multiple of 8
        block_multiple_of=8,
        rope_parameters={"rope_type": "default", "rope_theta": 1e6},
        norm_eps=1e-5,
        tie_word_embeddings=True,
    )
    return Lfm2VlConfig(
        vision_config=Siglip2VisionConfig(
            hidden_size=24,
            num_attention_heads=2,
            num_hidden_layers=2,
            intermediate_size=40,
            patch_size=6,
            num_patches=25,
            vision_use_head=False,
        ),
        text_config=Lfm2Config(**text),
        image_token_id=tokenizer().token_to_id("<image>"),
        projector_hidden_size=40,
        downsample_factor=2,
    )


IMAGES = {
    "preprocessor_config.json": {
        "do_image_splitting": True,
        "do_normalize": True,
        "do_pad": True,
        "do_rescale": True,
        "do_resize": True,
        "downsample_factor": 2,
        "encoder_patch_size": 6,
        "image_mean": HALF,
        "image_processor_type": "Lfm2VlImageProcessorFast",
        "image_std": HALF,
        "max_image_tokens": 16,
        "max_num_patches": 64,
        "max_pixels_tolerance": 2.0,
        "max_tiles": 10,
        "min_image_tokens": 4,
        "min_tiles": 2,
        "processor_class": "Lfm2VlProcessor",
        "resample": 2,
        "rescale_factor": 1 / 255,
        "size": {"height": 36, "width": 36},
        "tile_size": 36,
        "use_thumbnail": True,
    },
    "processor_config.json": {"processor_class": "Lfm2VlProcessor", "use_image_special_tokens": True},
}


def stages(model, record):
    core, seen = model.model, {}
    tower = core.vision_tower
    record.handles.append(
        tower.register_forward_pre_hook(
            lambda _, args, kwargs: seen.update(mask=kwargs["pixel_attention_mask"].bool()),
            with_kwargs=True,
        )
    )
    record.layers(tower.encoder.layers, lambda x: x[seen["mask"]])  # without padding
    record.output(tower.post_layernorm, "vision.out", lambda x: x[seen["mask"]])
    record.features(core)
    record.decoder(core.language_model)


FOLDERS = [
    Folder(
        name="lfm2_vl_hybrid",
        seed=123,
        config=config,
        model=Lfm2VlForConditionalGeneration,
        tokenizer=tokenizer,
        tokenizer_config=TOKENS,
        files=IMAGES,
        chat_template=TEMPLATE,
        picture="<image>",
        cases=CASES,
        stages=stages,
        mean=HALF,
        std=HALF,
        channels_last=True,
        end="<|im_end|>",
    )
]
assert tokenizer().get_vocab_size() <= VOCAB
