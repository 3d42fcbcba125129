"""The small random checkpoints: what each folder holds. Weights are far from any trained model's but
scaled so that every part of the forward pass matters (see `randomise`)."""
import json
import math
import pathlib
from dataclasses import dataclass, field

import torch
from safetensors.torch import load_file, save_file
from transformers import (Gemma2Config, Gemma2ForCausalLM, Gemma3ForCausalLM, Gemma3TextConfig,
                          GemmaConfig, GemmaForCausalLM, GPT2Config, GPT2LMHeadModel, Idefics3Config,
                          Idefics3ForConditionalGeneration, Lfm2Config, Lfm2ForCausalLM, LlamaConfig,
                          LlamaForCausalLM, Mamba2Config, Mamba2ForCausalLM,
                          MistralConfig, MistralForCausalLM, Phi3Config, Phi3ForCausalLM, Qwen2Config,
                          Qwen2ForCausalLM, Qwen3Config, Qwen3ForCausalLM, SmolLM3Config,
                          SmolLM3ForCausalLM, SmolVLMConfig, SmolVLMForConditionalGeneration)

import golden_tokenizer

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
VOCAB = 411  # more than any tokenizer here has: published heads are padded too
TEXT_CLASSES = {"llama": (LlamaConfig, LlamaForCausalLM),
                "mistral": (MistralConfig, MistralForCausalLM),
                "qwen2": (Qwen2Config, Qwen2ForCausalLM),
                "qwen3": (Qwen3Config, Qwen3ForCausalLM),
                "gemma": (GemmaConfig, GemmaForCausalLM),
                "gemma2": (Gemma2Config, Gemma2ForCausalLM),
                "gemma3_text": (Gemma3TextConfig, Gemma3ForCausalLM),
                "lfm2": (Lfm2Config, Lfm2ForCausalLM),
                "gpt2": (GPT2Config, GPT2LMHeadModel),
                "phi3": (Phi3Config, Phi3ForCausalLM),
                "smollm3": (SmolLM3Config, SmolLM3ForCausalLM),
                "mamba2": (Mamba2Config, Mamba2ForCausalLM)}
CLASSES = {**TEXT_CLASSES,
           "smolvlm": (SmolVLMConfig, SmolVLMForConditionalGeneration),
           "idefics3": (Idefics3Config, Idefics3ForConditionalGeneration)}


@dataclass
class Checkpoint:
    """One folder. `text` and `vision` are keys of the configs; `tile` and `longest` the processor's."""
    name: str
    family: str
    dtype: str
    seed: int
    text: dict
    vision: dict = field(default_factory=dict)
    scale_factor: int = 2
    tied: bool = False
    longest: int = 0            # the processor's size.longest_edge
    tile: int = 0               # the processor's max_image_size.longest_edge
    splitting: bool = True
    sharded: bool = False
    old_style: bool = False     # config.json as transformers 4 wrote it
    bare: bool = False          # tensors under the base model's names, as the first GPT-2 was published
    tokenizer: str = "smollm"
    generation: dict = field(default_factory=dict)


def text(hidden=60, heads=6, kv=2, layers=3, inter=92, **more):
    return {"hidden_size": hidden, "num_attention_heads": heads, "num_key_value_heads": kv,
            "num_hidden_layers": layers, "intermediate_size": inter, "vocab_size": VOCAB,
            "max_position_embeddings": 2048, "rms_norm_eps": 1e-5, "pad_token_id": 2, **more}


def rope(theta=100000.0, **more):
    return {"rope_parameters": {"rope_theta": theta, "rope_type": "default", **more}}


def gpt2(hidden=48, heads=3, layers=3, inter=None, **more):
    return {"n_embd": hidden, "n_head": heads, "n_layer": layers, "n_inner": inter, "vocab_size": VOCAB,
            "n_positions": 320, **more}


def mamba2(hidden=40, heads=5, layers=3, **more):
    return {"hidden_size": hidden, "num_heads": heads, "head_dim": 2 * hidden // heads, "vocab_size": VOCAB,
            "num_hidden_layers": layers, "chunk_size": 32, **more}


def vision(hidden=48, heads=3, layers=3, inter=80, image=84, patch=14):
    return {"hidden_size": hidden, "num_attention_heads": heads, "num_hidden_layers": layers,
            "intermediate_size": inter, "image_size": image, "patch_size": patch}


# Scaled so that positions within reach of a short prompt meet all three ranges.
LLAMA3_ROPE = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
               "original_max_position_embeddings": 64}

CHECKPOINTS = [
    Checkpoint("smolvlm_2x2", "smolvlm", "bfloat16", 1, text(**rope()), vision(), 2,
               longest=168, tile=84),
    # 25 patches a side: float32 rounding moves position buckets. Shards, tied head, head_dim of its
    # own, more tiles.
    Checkpoint("smolvlm_side25", "smolvlm", "float32", 2,
               text(hidden=40, heads=2, kv=1, layers=2, inter=56, head_dim=16, **rope(10000.0)),
               vision(hidden=24, heads=2, layers=2, inter=40, image=100, patch=4), 5,
               tied=True, longest=300, tile=100, sharded=True),
    Checkpoint("idefics3_3x3", "idefics3", "bfloat16", 3,
               text(hidden=64, heads=4, kv=1, layers=2, **rope(500000.0)),
               vision(hidden=40, heads=5, layers=2, inter=72), 3, longest=200, tile=84,
               old_style=True),
    # No tiles, 29 patches a side upon a table of 31, 841 tokens a picture.
    Checkpoint("idefics3_side29", "idefics3", "bfloat16", 4,
               text(hidden=36, heads=3, kv=3, layers=2, inter=60, **rope()),
               vision(hidden=24, heads=3, layers=2, inter=40, image=93, patch=3), 1,
               longest=120, tile=87, splitting=False),
    Checkpoint("llama_gqa", "llama", "bfloat16", 5, text(**rope()), tokenizer="smollm_text"),
    Checkpoint("llama_tied", "llama", "float32", 11,
               text(hidden=40, heads=4, kv=2, layers=2, head_dim=18, **rope(10000.0)), tied=True,
               sharded=True, old_style=True, tokenizer="smollm_text"),
    Checkpoint("llama31_old", "llama", "bfloat16", 7,
               text(heads=3, kv=1, attention_bias=True, mlp_bias=True, **rope(**LLAMA3_ROPE)),
               old_style=True, tokenizer="llama3"),
    Checkpoint("llama31_new", "llama", "bfloat16", 8,
               text(hidden=64, heads=4, kv=4, attention_bias=True, layers=2, **rope(**LLAMA3_ROPE)),
               tokenizer="llama3"),
    Checkpoint("llama_suppress", "llama", "float16", 9,
               text(layers=2, **rope(rope_type="linear", factor=2.0)), tokenizer="smollm_text",
               generation={"suppress_tokens": [5, 17, 101], "begin_suppress_tokens": [64, 65]}),
    # Windows shorter than the long prompt, one of them longer than a page of 64 keys.
    Checkpoint("qwen2_window", "qwen2", "bfloat16", 21,
               text(hidden=48, heads=2, kv=1, layers=3, inter=76, use_sliding_window=True,
                    sliding_window=37, max_window_layers=1, **rope(1e6)), tokenizer="smollm_text"),
    Checkpoint("qwen3_heads", "qwen3", "bfloat16", 222,
               text(hidden=56, heads=4, kv=2, layers=2, inter=88, head_dim=24, attention_bias=True,
                    **rope(1e6)), tokenizer="smollm_text"),
    Checkpoint("mistral_window", "mistral", "bfloat16", 23,
               text(hidden=48, heads=3, kv=1, layers=2, head_dim=32, sliding_window=70,
                    **rope(10000.0)), old_style=True, tokenizer="smollm_text"),
    Checkpoint("gemma_mqa", "gemma", "bfloat16", 324,
               text(hidden=40, heads=4, kv=1, layers=2, inter=72, head_dim=24, **rope(10000.0)),
               tied=True, tokenizer="smollm_text"),
    Checkpoint("gemma2_caps", "gemma2", "bfloat16", 325,
               text(hidden=48, heads=4, kv=2, layers=3, inter=72, head_dim=32, sliding_window=19,
                    query_pre_attn_scalar=20, attn_logit_softcapping=3.0,
                    final_logit_softcapping=9.0, **rope(10000.0)),
               tokenizer="smollm_text"),
    Checkpoint("gemma3_local", "gemma3_text", "bfloat16", 226,
               text(hidden=48, heads=4, kv=1, layers=4, inter=72, head_dim=24, sliding_window=33,
                    query_pre_attn_scalar=16, sliding_window_pattern=3,
                    rope_parameters={
                        "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e6},
                        "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0}}),
               tokenizer="smollm_text"),
    # The MLP's size becomes 2/3 of 113, then the next multiple of 8: 80.
    Checkpoint("lfm2_mixed", "lfm2", "bfloat16", 127,
               text(hidden=48, heads=4, kv=2, layers=4, inter=113, block_multiple_of=8, conv_bias=True,
                    norm_eps=1e-5, layer_types=["conv", "full_attention", "conv", "conv"],
                    **rope(1e6)), tokenizer="smollm_text"),
    Checkpoint("gpt2_bare", "gpt2", "bfloat16", 102, gpt2(), tied=True, bare=True,
               tokenizer="smollm_text"),
    Checkpoint("gpt2_depth", "gpt2", "bfloat16", 107,
               gpt2(hidden=40, heads=5, inter=92, scale_attn_by_inverse_layer_idx=True),
               tokenizer="smollm_text"),
    # 6 of 8 pairs turn. The first prompt's answer grows over the 64 tokens of the short factors, the
    # long prompt begins beyond them.
    Checkpoint("phi3_longrope", "phi3", "bfloat16", 102,
               text(hidden=64, heads=4, kv=2, layers=2, partial_rotary_factor=0.75,
                    original_max_position_embeddings=64, **rope(10000.0, rope_type="longrope",
                        short_factor=[1.0, 1.02, 1.05, 1.1, 1.2, 1.3],
                        long_factor=[1.1, 1.5, 2.5, 5.0, 9.0, 14.0])),
               old_style=True, tokenizer="smollm_text"),
    Checkpoint("phi3_window", "phi3", "bfloat16", 102,
               text(hidden=48, heads=3, kv=3, layers=2, sliding_window=47, **rope(10000.0)),
               tokenizer="smollm_text"),
    # The third layer does not turn, and slides; yarn, as for its contexts beyond 64k.
    Checkpoint("smollm3_nope", "smollm3", "bfloat16", 106,
               text(hidden=48, heads=4, kv=2, layers=4, inter=72, no_rope_layers=[1, 1, 0, 1],
                    use_sliding_window=True, sliding_window=51,
                    **rope(50000.0, rope_type="yarn", factor=4.0, original_max_position_embeddings=64)),
               tokenizer="smollm_text"),
    Checkpoint("mamba2_groups", "mamba2", "bfloat16", 145,
               mamba2(hidden=48, heads=6, n_groups=3, state_size=21, use_bias=True),
               tokenizer="smollm_text"),
    Checkpoint("mamba2_tied", "mamba2", "bfloat16", 143,
               mamba2(layers=2, n_groups=1, state_size=32, conv_kernel=3, use_conv_bias=False), tied=True,
               tokenizer="smollm_text"),
]


def build_config(c: Checkpoint):
    config_class, _ = CLASSES[c.family]
    special = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 2}
    if c.family in TEXT_CLASSES:
        return config_class(**{**c.text, **special, "tie_word_embeddings": c.tied})
    image_token = golden_tokenizer.smollm().token_to_id("<image>")
    return config_class(text_config={"model_type": "llama", **c.text}, vision_config=c.vision,
                        scale_factor=c.scale_factor, image_token_id=image_token,
                        tie_word_embeddings=c.tied)


# Queries and keys are larger, else attention is nearly uniform and hides mistakes, but not so large that
# it amplifies rounding as no trained model does; what enters the residual is smaller than the residual;
# the head is larger, so that greedy choices have margins above float32 noise.
GAINS = {"q_proj": 1.4, "k_proj": 1.4, "qkv_proj": 1.4, "c_attn": 1.4, "out_proj": 0.6, "o_proj": 0.6,
         "c_proj": 0.6, "fc2": 0.6, "down_proj": 0.6, "w2": 0.6, "lm_head": 4}


def is_norm(name):
    return "norm" in name or ".ln_" in name


def randomise(model, seed, dtype):
    """Weights of about 1/sqrt(fan_in), so that no layer fades; norms away from 1 and biases from 0.
    Rounded to `dtype`."""
    random = torch.Generator().manual_seed(seed)
    gemma = model.config.model_type.startswith("gemma")
    norm_weight = 0 if gemma else 1  # Gemma adds the 1 itself, and scales word rows by sqrt(hidden)
    word = 0.2 if model.config.tie_word_embeddings else 1
    if gemma:
        word = (0.6 if model.config.tie_word_embeddings else 1) / math.sqrt(model.config.hidden_size)
    for name, p in model.named_parameters():
        noise = torch.randn(p.shape, generator=random)
        if is_norm(name):
            value = 0.2 * noise + (norm_weight if name.endswith("weight") else 0)
            if gemma and "post_" in name:  # scales what enters the residual, see GAINS
                value -= 0.4
        elif name.endswith("bias"):
            value = 0.2 * noise
        elif name.endswith("A_log"):
            value = noise - 2  # so that a state lasts for some tokens
        elif name.endswith(".D"):
            value = 1 + 0.2 * noise
        elif any(part in name for part in ("embed_tokens", "embeddings", "position_embedding", "wte", "wpe")):
            value = noise * word
        else:
            gain = next((g for part, g in GAINS.items() if part in name), 1)
            fan_in = p.shape[0] if ".c_" in name else p[0].numel()  # GPT-2 holds its matrices turned round
            value = noise * (gain / math.sqrt(fan_in))
        p.data = value.to(dtype).float()


# What transformers 4 left out of nested configs, being its default.
DEFAULTS = {"attention_dropout": 0.0, "initializer_range": 0.02, "num_channels": 3,
            "hidden_act": "gelu_pytorch_tanh", "layer_norm_eps": 1e-6, "attention_bias": False,
            "mlp_bias": False, "pretraining_tp": 1, "use_cache": True}


def old_style(config: dict):
    """The keys of transformers 4: rope_theta and rope_scaling, torch_dtype, defaults left out."""
    for key, default in DEFAULTS.items():
        if config.get(key) == default:
            del config[key]
    rope_parameters = config.pop("rope_parameters", None)
    if rope_parameters:
        config["rope_theta"] = rope_parameters.pop("rope_theta")
        plain = rope_parameters.get("rope_type") == "default"
        config["rope_scaling"] = None if plain else rope_parameters
    if "dtype" in config:
        config["torch_dtype"] = config.pop("dtype")
    for value in config.values():
        if isinstance(value, dict):
            old_style(value)
    return config


def write_processor(c: Checkpoint, folder: pathlib.Path):
    kind = "Idefics3" if c.family == "idefics3" else "SmolVLM"
    images = {
        "do_convert_rgb": True, "do_image_splitting": c.splitting, "do_normalize": True,
        "do_pad": True, "do_rescale": True, "do_resize": True, "image_mean": [0.5, 0.5, 0.5],
        "image_processor_type": f"{kind}ImageProcessor", "image_std": [0.5, 0.5, 0.5],
        "max_image_size": {"longest_edge": c.tile}, "processor_class": f"{kind}Processor",
        "resample": 1, "rescale_factor": 1 / 255, "size": {"longest_edge": c.longest},
    }
    if kind == "SmolVLM":
        images["video_sampling"] = {"fps": 1, "max_frames": 64, "video_size": {"longest_edge": c.tile}}
    grid = c.tile // c.vision["patch_size"]
    processor = {"image_seq_len": (grid // c.scale_factor) ** 2, "processor_class": f"{kind}Processor"}
    if c.old_style or kind == "SmolVLM":
        write_json(folder / "preprocessor_config.json", images)
    else:  # the form of transformers 5: one file
        processor["image_processor"] = images
    write_json(folder / "processor_config.json", processor)
    write_json(folder / "chat_template.json", {"chat_template": golden_tokenizer.CHAT_TEMPLATE})


def write_json(path, value):
    path.write_text(json.dumps(value, indent=1) + "\n")


def strip_names(file):
    """Tensor names without the base model's, and the masks that old files hold beside them."""
    tensors = {name.removeprefix("transformer."): value for name, value in load_file(file).items()}
    for layer in {name.split(".")[1] for name in tensors if name.startswith("h.")}:
        tensors[f"h.{layer}.attn.bias"] = torch.ones((1, 1, 4, 4)).tril()
    save_file(tensors, file, metadata={"format": "pt"})


def build(c: Checkpoint, folder: pathlib.Path):
    """Writes the whole folder but generation_config's end tokens, which the goldens choose."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    dtype = DTYPES[c.dtype]
    model = CLASSES[c.family][1](build_config(c)).eval()
    randomise(model, c.seed, dtype)
    model.tie_weights()
    model.to(dtype).save_pretrained(folder, max_shard_size="60KB" if c.sharded else "1GB")
    if c.bare:
        strip_names(folder / "model.safetensors")
    for file in folder.iterdir():
        file.chmod(0o644)
    if c.old_style:
        path = folder / "config.json"
        write_json(path, old_style(json.loads(path.read_text())))
    make = {"smollm": golden_tokenizer.smollm, "llama3": golden_tokenizer.llama3,
            "smollm_text": lambda: golden_tokenizer.smollm(images=False)}[c.tokenizer]
    golden_tokenizer.write(make(), folder)
    if c.family not in TEXT_CLASSES:
        write_processor(c, folder)
