"""Makes tests/golden/gguf/<architecture>.gguf: llama.cpp's own conversions, in float32, of small random
language models, and models.json: what transformers computes with the models that were converted.

    git clone https://github.com/ggml-org/llama.cpp
    pip install torch transformers safetensors sentencepiece llama-cpp-python
    python tests/reference/make_gguf_model_golden.py llama.cpp

With llama-cpp-python at hand each file is read back by llama.cpp and its logits are compared too.
"""

import argparse
import json
import pathlib
import sys
import tempfile

import numpy as np
import torch
import transformers
from golden_checkpoints import Checkpoint, build, gpt2, mamba2, rope, text
from golden_stages import Golden, greedy
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

GOLDEN = pathlib.Path(__file__).parents[1] / "golden" / "gguf"
SIZES = {"vocab_size": 336, "layers": 2}  # Mamba 2's converter rounds vocabularies up to a multiple of 16
SAMPLES, GREEDY_TOKENS = 400, 24
CONTEXT = 256  # the least that llama.cpp takes
PROMPTS = [
    "<|im_start|>How many people are there in 1234 pictures, or none?\n\nNothing",
    "The picture shows a red bicycle beside an old wall, and nobody is near it. 그림에는 자전거가 있다. "
    "Nothing in the world is as soft as water.",
]
LONGROPE = rope(
    10000.0, rope_type="longrope", short_factor=[1.0, 1.02, 1.05, 1.1, 1.2, 1.3],
    long_factor=[1.1, 1.5, 2.5, 5.0, 9.0, 14.0],
)  # fmt: skip
YARN = rope(50000.0, rope_type="yarn", factor=4.0, original_max_position_embeddings=64)
# The second prompt is longer than the 64 positions of phi3's short factors.
CASES = [
    Checkpoint("gpt2", "gpt2", "bfloat16", 208, gpt2(32, 2, n_positions=CONTEXT, **SIZES),
               tied=True, tokenizer="smollm_text"),
    Checkpoint("phi3", "phi3", "bfloat16", 202,
               text(32, 2, 1, inter=48, partial_rotary_factor=0.75, original_max_position_embeddings=64,
                    **LONGROPE, **SIZES),
               tied=True, old_style=True, tokenizer="smollm_text"),
    Checkpoint("smollm3", "smollm3", "bfloat16", 203, text(32, 4, 2, inter=48, **YARN, **{**SIZES, "layers": 4}),
               tied=True, tokenizer="smollm_text"),
    Checkpoint("mamba2", "mamba2", "bfloat16", 204, mamba2(32, 4, n_groups=2, state_size=16, **SIZES),
               tied=True, tokenizer="smollm_text"),
]  # fmt: skip


def convert(source: pathlib.Path, folder: pathlib.Path, out: pathlib.Path) -> None:
    """What convert_hf_to_gguf.py writes. It knows tokenizers by what they make of a text, and not this one."""
    sys.path[:0] = [str(source), str(source / "gguf-py")]
    import conversion.base
    import convert_hf_to_gguf

    conversion.base.TextModel.get_vocab_base_pre = lambda *_: "smollm"
    sys.argv = ["convert_hf_to_gguf.py", str(folder), "--outtype", "f32", "--outfile", str(out)]
    convert_hf_to_gguf.main()
    out.chmod(0o644)


def prepare(folder: pathlib.Path) -> None:
    """What the converter asks for beside what transformers writes."""
    more = {
        "tokenizer_config.json": {"tokenizer_class": "GPT2Tokenizer"},  # phi3's word for byte-level BPE
        "config.json": {"n_ctx": CONTEXT},  # gpt2's, of older folders
    }
    for name, values in more.items():
        path = folder / name
        path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def record(model: torch.nn.Module, tokenizer: PreTrainedTokenizerFast, prompt: str) -> dict:
    inputs = dict(tokenizer(prompt, return_tensors="pt"))
    with torch.inference_mode():
        logits = model(**inputs).logits[0]
    golden = Golden()
    sampled = golden.add("logits", logits, SAMPLES)
    ids, margin = greedy(model, inputs, GREEDY_TOKENS, eos_token_id=None)
    print(f"  {len(inputs['input_ids'][0])} tokens, smallest margin {margin:.1e}")
    del sampled["tensor"]
    values = [float(f"{v:.7g}") for v in golden.tensors["logits"]]
    return {"prompt": prompt, "ids": inputs["input_ids"][0].tolist(), "logits": {**sampled, "values": values},
            "greedy": ids, "greedy_margin": margin}  # fmt: skip


def compare(file: pathlib.Path, case: dict) -> None:
    """llama.cpp's logits of the file."""
    try:
        import llama_cpp
    except ImportError:
        return print("  llama.cpp: not at hand")
    model = llama_cpp.Llama(str(file), n_ctx=CONTEXT, logits_all=True, verbose=False, n_threads=2,
                            type_k=llama_cpp.GGML_TYPE_F32, type_v=llama_cpp.GGML_TYPE_F32)  # fmt: skip
    ids = model.tokenize(case["prompt"].encode(), add_bos=False, special=True)
    model.eval(case["ids"])
    got = np.array(model.scores[: len(case["ids"])], np.float64).reshape(-1)[:: case["logits"]["stride"]]
    want = np.array(case["logits"]["values"])
    error = np.linalg.norm(got - want) / np.linalg.norm(want)
    print(f"  llama.cpp: ids {'equal' if ids == case['ids'] else 'differ'}, logits off by {error:.1e}")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("llama_cpp", type=pathlib.Path)
    source = parser.parse_args().llama_cpp.resolve()
    transformers.utils.logging.disable_progress_bar()
    all_cases = {}
    for checkpoint in CASES:
        print(checkpoint.name)
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name) / "small"  # the converter writes the folder's name into the file
            build(checkpoint, folder)
            model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
            tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
            cases = [record(model.eval(), tokenizer, prompt) for prompt in PROMPTS]
            prepare(folder)
            file = GOLDEN / f"{checkpoint.name}.gguf"
            convert(source, folder, file)
        # By its context llama.cpp takes the long factors for both.
        for case in cases[1:] if checkpoint.name == "phi3" else cases:
            compare(file, case)
        all_cases[checkpoint.name] = cases
    text = json.dumps(all_cases, ensure_ascii=False, separators=(",", ":"))
    (GOLDEN / "models.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
