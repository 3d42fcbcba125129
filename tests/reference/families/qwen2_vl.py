"""Qwen2-VL: as Qwen2.5-VL without windows; layer norms and a plain MLP in the tower."""

from transformers import Qwen2VLConfig, Qwen2VLForConditionalGeneration

from families import qwen2_5_vl as newer
from families.base import Folder, decoder, old_part

KEPT = ("depth", "embed_dim", "mlp_ratio", "num_heads", "in_channels", "hidden_size", "patch_size",
        "spatial_merge_size", "temporal_patch_size")


def config():
    text = decoder(
        rms_norm_eps=1e-6,
        rope_parameters={"rope_type": "default", "rope_theta": 1e6, "mrope_section": [4, 3, 5]},
        bos_token_id=newer.PAD_ID,
        eos_token_id=newer.EOS_ID,
    )
    vision = {
        "depth": 3,
        "embed_dim": 24,
        "num_heads": 2,
        "mlp_ratio": 2,
        "patch_size": 6,
        "hidden_size": 48,  # of the decoder
    }
    return Qwen2VLConfig(
        text_config=text, vision_config=vision, tie_word_embeddings=False, **newer.PLACES
    )


def published_config(config):
    """As Qwen2-VL's: flat; `mrope` is the type of the rotary scaling."""
    text, vision = config.pop("text_config"), config.pop("vision_config")
    rope = text.pop("rope_parameters")
    text = {k: v for k, v in old_part(text).items() if k not in ("model_type", "layer_types")}
    return {
        "architectures": config["architectures"],
        **text,
        "model_type": "qwen2_vl",
        **newer.PLACES,
        "rope_theta": rope["rope_theta"],
        "rope_scaling": {"type": "mrope", "mrope_section": rope["mrope_section"]},
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
        "use_sliding_window": False,
        "sliding_window": 32768,
        "max_window_layers": 80,
        "vision_config": {k: vision[k] for k in KEPT if k in vision},
    }


def stages(model, record):
    tower = model.model.visual
    record.layers(tower.blocks)
    record.output(tower.merger.ln_q, "vision.out")
    record.features(model.model)
    record.decoder(model.model.language_model)


FOLDERS = [
    Folder(
        name="qwen2_vl_merge",
        seed=41,
        config=config,
        model=Qwen2VLForConditionalGeneration,
        tokenizer=newer.tokenizer,
        tokenizer_config=newer.TOKENS,
        files=newer.images(6, 4 * 144, 40 * 144, "Qwen2VLProcessor"),
        chat_template=newer.TEMPLATE,
        picture=newer.IMAGE,
        cases=newer.CASES,
        stages=stages,
        positions=newer.positions,
        config_file=published_config,
        end="<|im_end|>",
    )
]
