"""Qwen3-VL: features of inner encoder layers added to the first decoder layers (deepstack), learned
positions resampled to the picture's grid, M-RoPE whose axes alternate."""

from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration

from families import qwen2_5_vl as older
from families.base import HALF, Folder, decoder


def config():
    text = decoder(
        layers=3,
        head_dim=24,
        rms_norm_eps=1e-6,
        rope_parameters={
            "rope_type": "default",
            "rope_theta": 5e6,
            "mrope_section": [5, 4, 3],
            "mrope_interleaved": True,
        },
        tie_word_embeddings=True,
        bos_token_id=older.PAD_ID,
        eos_token_id=older.EOS_ID,
    )
    vision = {
        "depth": 4,
        "hidden_size": 16,
        "num_heads": 2,
        "intermediate_size": 28,
        "patch_size": 6,
        "out_hidden_size": 48,
        "num_position_embeddings": 25,
        "deepstack_visual_indexes": [0, 2],
    }
    return Qwen3VLConfig(
        text_config=text, vision_config=vision, tie_word_embeddings=True, **older.PLACES
    )


def published_config(config):
    """As Qwen3-VL-2B-Instruct's: `rope_scaling` and `rope_theta` in the text's part."""
    text = config["text_config"]
    rope = text.pop("rope_parameters")
    text["rope_theta"] = rope.pop("rope_theta")
    text["rope_scaling"] = rope
    config["vision_config"]["model_type"] = "qwen3_vl"
    config["vision_config"].pop("rope_parameters", None)
    for part in (text, config):
        if "dtype" in part:
            part["torch_dtype"] = part.pop("dtype")
    return config


def images(patch, least, most):
    common = {
        "size": {"longest_edge": most, "shortest_edge": least},
        "patch_size": patch,
        "temporal_patch_size": 2,
        "merge_size": 2,
        "image_mean": HALF,
        "image_std": HALF,
        "processor_class": "Qwen3VLProcessor",
    }
    return {
        "preprocessor_config.json": {**common, "image_processor_type": "Qwen2VLImageProcessorFast"},
        "video_preprocessor_config.json": {
            **common,
            # Of a whole video: frames times pixels.
            "size": {"longest_edge": 8 * most, "shortest_edge": least},
            "video_processor_type": "Qwen3VLVideoProcessor",
        },
    }


def stages(model, record):
    tower = model.model.visual
    record.layers(tower.blocks)
    record.output(tower.merger.norm, "vision.out")
    record.features(model.model)
    record.decoder(model.model.language_model)  # before deepstack's rows are added


FOLDERS = [
    Folder(
        name="qwen3_vl_deepstack",
        seed=114,
        config=config,
        model=Qwen3VLForConditionalGeneration,
        tokenizer=older.tokenizer,
        tokenizer_config=older.TOKENS,
        files=images(6, 4 * 144, 40 * 144),
        chat_template=older.TEMPLATE.replace(
            "{% if loop.first and message['role'] != 'system' %}"
            "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n{% endif %}",
            "",
        ),
        picture=older.IMAGE,
        cases=older.CASES,
        stages=stages,
        positions=older.positions,
        mean=HALF,
        std=HALF,
        config_file=published_config,
        end="<|im_end|>",
    )
]
