"""Writes chiasm-mini as a Hugging Face folder, and reads one back to train on."""

import json
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from .network.config import MiniConfig
from .network.mini import Mini
from .pictures.geometry import SIDE
from .tokenizer import END, IMAGE, PAD, START, Tokenizer

WEIGHTS = "model.safetensors"
BICUBIC = 3  # Pillow's number for the filter


def export(mini: Mini, folder: Path) -> None:
    """Writes weights (bfloat16) and configuration beside the tokenizer already in `folder`."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    state = {
        name: tensor.detach().to("cpu", torch.bfloat16).contiguous()
        for name, tensor in mini.state_dict().items()
    }
    save_file(state, folder / WEIGHTS, metadata={"format": "pt"})
    (folder / WEIGHTS).chmod(0o644)
    number = tokenizer.token_to_id
    _write(folder / "config.json", _config(mini.config, number))
    _write(
        folder / "generation_config.json",
        {
            "bos_token_id": number(START),
            "eos_token_id": number(END),
            "pad_token_id": number(PAD),
            "do_sample": False,
            "max_new_tokens": 96,
        },
    )
    images = _image_settings()
    _write(folder / "preprocessor_config.json", images)
    _write(
        folder / "processor_config.json",
        {
            "processor_class": "SmolVLMProcessor",
            "image_seq_len": (SIDE // 16 // mini.config.scale_factor) ** 2,
        },
    )


def load_weights(mini: Mini, folder: Path) -> None:
    """Puts exported weights into `mini`."""
    mini.load_state_dict(
        {name: tensor.float() for name, tensor in load_file(folder / WEIGHTS).items()}
    )


def _config(config: MiniConfig, number) -> dict:
    tokens = {
        "bos_token_id": number(START),
        "eos_token_id": number(END),
        "pad_token_id": number(PAD),
    }
    text = asdict(config.text)
    theta = text.pop("rope_theta")
    return {
        "architectures": ["SmolVLMForConditionalGeneration"],
        "model_type": "smolvlm",
        "dtype": "bfloat16",
        "image_token_id": number(IMAGE),
        "scale_factor": config.scale_factor,
        "tie_word_embeddings": True,
        "use_cache": True,
        **tokens,
        "vision_config": {
            "model_type": "smolvlm_vision",
            "num_channels": 3,
            "hidden_act": "gelu_pytorch_tanh",
            "attention_dropout": 0.0,
            **asdict(config.vision),
        },
        "text_config": {
            "model_type": "llama",
            "hidden_act": "silu",
            "attention_bias": False,
            "mlp_bias": False,
            "attention_dropout": 0.0,
            "tie_word_embeddings": True,
            "rope_parameters": {"rope_type": "default", "rope_theta": theta},
            "rope_theta": theta,
            **text,
            **tokens,
        },
        "chiasm": {
            "embed": {
                "size": config.embed_size,
                "image": "mean over patches of the vision tower's post_layernorm output, "
                "times chiasm.embed.image.weight, divided by its length",
                "text": f"final-norm hidden row of the last token of '{START}' + text + '{END}', "
                "times chiasm.embed.text.weight, divided by its length",
            }
        },
    }


def _image_settings() -> dict:
    edge = {"longest_edge": SIDE}
    return {
        "image_processor_type": "SmolVLMImageProcessor",
        "processor_class": "SmolVLMProcessor",
        "do_convert_rgb": True,
        "do_resize": True,
        "size": edge,
        "max_image_size": edge,
        "resample": BICUBIC,
        "do_image_splitting": False,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": [0.5] * 3,
        "image_std": [0.5] * 3,
        "do_pad": True,
    }


def _write(path: Path, content: dict) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
