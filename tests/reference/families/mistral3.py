"""Mistral 3: a Pixtral tower (pictures of any shape, rotary positions by row and column), neighbours
joined, a break token after each row of a picture."""

from transformers import (
    Mistral3Config,
    Mistral3ForConditionalGeneration,
    MistralConfig,
    PixtralVisionConfig,
)

from families import tokenizers
from families.base import CLIP_MEAN, CLIP_STD, Folder, decoder

SPECIALS = ["[INST]", "[/INST]", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]", "[IMG]", "<pad>", "[IMG_BREAK]",
            "[IMG_END]"]
TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'user' %}{{ '[INST]' }}"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}{% if part['type'] == 'text' %}{{ part['text'] }}"
    "{% elif part['type'] in ['image', 'image_url'] %}{{ '[IMG]' }}{% endif %}{% endfor %}{% endif %}"
    "{{ '[/INST]' }}{% elif message['role'] == 'system' %}"
    "{{ '[SYSTEM_PROMPT]' + message['content'] + '[/SYSTEM_PROMPT]' }}"
    "{% else %}{{ message['content'] + eos_token }}{% endif %}{% endfor %}"
)
CASES = {
    "one": ("[INST][IMG]What is this?[/INST]", ["wide.png"]),
    "two": ("[INST]First [IMG] then\n[IMG]12 differences? 그림[/INST]", ["tall.png", "dot.png"]),
    "square": ("[IMG]", ["square.png"]),
}
TOKENS = {
    "bos_token": "<s>",
    "eos_token": "</s>",
    "unk_token": "<unk>",
    "pad_token": "<pad>",
    "additional_special_tokens": SPECIALS,
    "processor_class": "PixtralProcessor",
}


def tokenizer():
    return tokenizers.tekken(SPECIALS)


def config():
    return Mistral3Config(
        vision_config=PixtralVisionConfig(
            hidden_size=24,
            num_attention_heads=2,
            num_hidden_layers=3,
            intermediate_size=36,
            image_size=96,
            patch_size=6,
            hidden_act="silu",
        ),
        text_config=MistralConfig(
            **decoder(
                head_dim=20,
                sliding_window=None,
                rms_norm_eps=1e-5,
                rope_parameters={"rope_type": "default", "rope_theta": 1e9},
            )
        ),
        image_token_index=tokenizer().token_to_id("[IMG]"),
        spatial_merge_size=2,
        tie_word_embeddings=False,
    )


IMAGES = {
    "preprocessor_config.json": {
        "do_convert_rgb": True,
        "do_normalize": True,
        "do_rescale": True,
        "do_resize": True,
        "image_mean": CLIP_MEAN,
        "image_processor_type": "PixtralImageProcessorFast",
        "image_std": CLIP_STD,
        "patch_size": 6,
        "processor_class": "PixtralProcessor",
        "resample": 3,
        "rescale_factor": 1 / 255,
        "size": {"longest_edge": 96},
    },
    "processor_config.json": {
        "image_break_token": "[IMG_BREAK]",
        "image_end_token": "[IMG_END]",
        "image_token": "[IMG]",
        "patch_size": 6,
        "processor_class": "PixtralProcessor",
        "spatial_merge_size": 2,
    },
}


def stages(model, record):
    core = model.model
    record.layers(core.vision_tower.transformer.layers)
    record.output(core.multi_modal_projector.norm, "vision.out")
    record.features(core)
    record.decoder(core.language_model)


FOLDERS = [
    Folder(
        name="mistral3_rows",
        seed=111,
        config=config,
        model=Mistral3ForConditionalGeneration,
        tokenizer=tokenizer,
        tokenizer_config=TOKENS,
        files=IMAGES,
        chat_template=TEMPLATE,
        picture="[IMG]",
        cases=CASES,
        stages=stages,
        end="</s>",
    )
]
