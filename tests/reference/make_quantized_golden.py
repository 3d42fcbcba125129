"""Makes tests/golden/quantized/: small decoders whose weights are packed as GPTQ and AWQ pack them, and
the logits that transformers computes from the dequantized weights.

gptq_order: Llama, groups of 32 in an order of their own (act-order), zeros less one, biases of zeros
awq_groups: Qwen2, groups of 128

    python tests/reference/make_quantized_golden.py
"""

import json
import pathlib
import shutil

import numpy as np
import torch
import transformers
from safetensors.numpy import save_file

GOLDEN = pathlib.Path(__file__).parents[1] / "golden"
IDS = [3, 17, 250, 99, 5, 5, 310, 41, 7, 120, 2, 64]
AWQ_ORDER = [0, 2, 4, 6, 1, 3, 5, 7]  # which output each 4 bits of a word belong to
SIZES = {
    "hidden_size": 128, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "vocab_size": 411, "tie_word_embeddings": True,
    "max_position_embeddings": 2048, "bos_token_id": 0, "eos_token_id": 2, "pad_token_id": 0,
}  # fmt: skip


def pack(numbers: np.ndarray, axis: int, order: list[int]) -> np.ndarray:
    """Eight numbers of 4 bits along `axis` as one int32; bits 4 i hold number order[i]."""
    numbers = np.moveaxis(numbers.astype(np.uint32), axis, -1)
    groups = numbers.reshape(*numbers.shape[:-1], -1, 8)
    words = np.zeros(groups.shape[:-1], np.uint32)
    for place, which in enumerate(order):
        words |= groups[..., which] << np.uint32(4 * place)
    return np.ascontiguousarray(np.moveaxis(words, -1, axis)).view(np.int32)


def quantize(weight: torch.Tensor, group: int, groups_of: np.ndarray, random):
    """q [in, out], zeros and float16 scales [groups, out], and what they stand for [out, in]."""
    w = weight.detach().float().numpy().T
    count = w.shape[0] // group
    scales = random.uniform(0.004, 0.02, (count, w.shape[1])).astype(np.float16)
    zeros = random.integers(0, 16, scales.shape)
    wide = scales.astype(np.float32)[groups_of]
    q = np.clip(np.round(w / wide) + zeros[groups_of], 0, 15).astype(np.int64)
    return q, zeros, scales, (wide * (q - zeros[groups_of]).astype(np.float32)).T


def make(name: str, model, group: int, settings: dict, random) -> None:
    gptq = settings["quant_method"] == "gptq"
    tensors, shared = {}, {}
    for scope, module in model.named_modules():
        if not isinstance(module, torch.nn.Linear) or scope == "lm_head":
            continue
        groups_of = np.arange(module.in_features) // group
        if gptq:  # q, k and v see one order, gate and up two
            where = scope.rsplit(".", 1)[0] if scope.endswith(("q_proj", "k_proj", "v_proj")) else scope
            groups_of = shared.setdefault(where, random.permutation(groups_of))
        q, zeros, scales, wide = quantize(module.weight, group, groups_of, random)
        if gptq:
            tensors[f"{scope}.qweight"] = pack(q, 0, list(range(8)))
            tensors[f"{scope}.qzeros"] = pack((zeros - 1) & 15, 1, list(range(8)))
            tensors[f"{scope}.g_idx"] = groups_of.astype(np.int32)
            tensors[f"{scope}.bias"] = np.zeros(module.out_features, np.float16)
        else:
            tensors[f"{scope}.qweight"] = pack(q, 1, AWQ_ORDER)
            tensors[f"{scope}.qzeros"] = pack(zeros, 1, AWQ_ORDER)
        tensors[f"{scope}.scales"] = scales
        module.weight.data = torch.from_numpy(np.ascontiguousarray(wide))
        if module.bias is not None:
            module.bias.data = module.bias.data.half().float()
            tensors[f"{scope}.bias"] = module.bias.data.half().numpy()
    for key, value in model.state_dict().items():
        if f"{key.rsplit('.', 1)[0]}.qweight" in tensors or key == "lm_head.weight":
            continue
        value.copy_(value.half().float())
        tensors[key] = value.half().numpy()
    folder = GOLDEN / "quantized" / name
    folder.mkdir(parents=True, exist_ok=True)
    with torch.no_grad():
        logits = model(torch.tensor([IDS])).logits[0].numpy()
    save_file(tensors, folder / "model.safetensors")
    save_file({
        "ids": np.array(IDS, np.int32),
        "logits": logits,
        "q_proj": model.model.layers[0].self_attn.q_proj.weight.data.numpy(),
    }, folder / "golden.safetensors")  # fmt: skip
    for file in folder.glob("*.safetensors"):
        file.chmod(0o644)
    config = json.loads(model.config.to_json_string())
    config |= {"dtype": "float16", "quantization_config": settings}
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    for file in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(GOLDEN / "models" / "llama_gqa" / file, folder / file)


def main() -> None:
    torch.manual_seed(7)
    random = np.random.default_rng(7)
    llama = transformers.LlamaForCausalLM(transformers.LlamaConfig(**SIZES)).eval()
    gptq = {"quant_method": "gptq", "bits": 4, "group_size": 32, "desc_act": True, "sym": False}
    make("gptq_order", llama, 32, gptq, random)
    qwen2 = transformers.Qwen2ForCausalLM(transformers.Qwen2Config(**SIZES)).eval()
    for layer in qwen2.model.layers:
        for part in (layer.self_attn.q_proj, layer.self_attn.k_proj, layer.self_attn.v_proj):
            torch.nn.init.normal_(part.bias)
    awq = {"quant_method": "awq", "bits": 4, "group_size": 128, "version": "gemm", "zero_point": True}
    make("awq_groups", qwen2, 128, awq, random)


if __name__ == "__main__":
    main()
