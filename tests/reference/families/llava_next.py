"""LLaVA-NeXT: LLaVA on tiles; padding is cut from the features and every row of them ends in a
newline feature."""

from transformers import LlavaNextConfig, LlavaNextForConditionalGeneration, MistralConfig

from families import llava
from families.base import CLIP_MEAN, CLIP_STD, Folder, decoder

PINPOINTS = [[42, 84], [84, 42], [84, 84], [126, 42], [42, 126]]
TEMPLATE = (
    "{% for message in messages %}{% if message['role'] == 'user' %}{{ '[INST] ' }}"
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}{{ '<image>\\n' }}"
    "{% elif part['type'] == 'text' %}{{ part['text'] }}{% endif %}{% endfor %}{{ ' [/INST]' }}"
    "{% else %}{{ ' ' + message['content'][0]['text'] + '</s>' }}{% endif %}{% endfor %}"
)
CASES = {
    "one": ("[INST] <image>\nWhat is this? [/INST]", ["wide.png"]),
    "two": ("[INST] First <image> then\n<image>\n12 differences? 그림 [/INST]", ["tall.png", "dot.png"]),
    "square": ("<image>", ["square.png"]),
}


def config():
    return LlavaNextConfig(
        vision_config=llava.vision(hidden_act="quick_gelu"),
        text_config=MistralConfig(
            **decoder(
                sliding_window=None,
                rope_parameters={"rope_type": "default", "rope_theta": 1e6},
                rms_norm_eps=1e-5,
            )
        ),
        image_token_index=llava.tokenizer().token_to_id("<image>"),
        image_grid_pinpoints=PINPOINTS,
        image_seq_length=36,
    )


def images():
    files = llava.images(42, "default")
    pictures = files["preprocessor_config.json"]
    pictures |= {
        "aspect_ratio_setting": "anyres",
        "crop_size": {"height": 42, "width": 42},
        "do_pad": True,
        "image_grid_pinpoints": PINPOINTS,
        "image_mean": CLIP_MEAN,
        "image_processor_type": "LlavaNextImageProcessor",
        "image_std": CLIP_STD,
        "processor_class": "LlavaNextProcessor",
    }
    files["processor_config.json"]["processor_class"] = "LlavaNextProcessor"
    return files


def stages(model, record):
    core = model.model
    record.layers(core.vision_tower.encoder.layers[:-1])
    record.input(core.multi_modal_projector.linear_1, "vision.out")
    record.features(core)
    record.decoder(core.language_model)


FOLDERS = [
    Folder(
        name="llava_next_anyres",
        seed=88,
        config=config,
        model=LlavaNextForConditionalGeneration,
        tokenizer=llava.tokenizer,
        tokenizer_config={**llava.TOKENS, "processor_class": "LlavaNextProcessor"},
        files=images(),
        chat_template=TEMPLATE,
        picture="<image>",
        cases=CASES,
        stages=stages,
        publish=llava.published,
        end="</s>",
    )
]
