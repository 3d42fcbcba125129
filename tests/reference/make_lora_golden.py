"""Makes tests/golden/lora: small random adapters for folders of tests/golden/models, and the logits and
greedy tokens that PEFT gives with them, in float32.

    python tests/reference/make_lora_golden.py [name ...]      # all, or some

Needs what make_golden.py needs, its folders, and peft. Each adapter is also merged by hand, W + s B A, and
the script fails where PEFT's logits are not those of the merged weights.
"""
import json
import math
import pathlib
import shutil
import sys

import numpy as np
import peft
import torch
import transformers
from golden_stages import greedy
from make_golden import ROOT, Reference
from peft import LoraConfig, get_peft_model
from safetensors.numpy import save_file
from safetensors.torch import load_file

OUT = pathlib.Path(__file__).parents[1] / "golden" / "lora"
WORDS = "How many people are there in 1234 pictures, or none?"
SEEN = "<|im_start|>User:<image>What is this?<end_of_utterance>\nAssistant:"
GREEDY_TOKENS = 24
ADAPTERS = {  # name: (model, seed, prompt, pictures, settings)
    "llama_all": ("llama_gqa", 5, WORDS, [], {
        "r": 4, "lora_alpha": 10,
        "target_modules": ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]}),
    "llama_patterns": ("llama_gqa", 6, WORDS, [], {
        "r": 3, "lora_alpha": 5, "use_rslora": True,
        "target_modules": r".*layers\.[02]\.(self_attn\.(q|v)_proj|mlp\.down_proj)",
        "rank_pattern": {"layers.0.self_attn.q_proj": 7, "^model.layers.2.mlp.down_proj": 2},
        "alpha_pattern": {"v_proj": 9}}),
    "smolvlm_towers": ("smolvlm_2x2", 7, SEEN, ["wide.png"], {
        "r": 4, "lora_alpha": 8,
        "target_modules": ["q_proj", "v_proj", "out_proj", "fc1", "fc2", "proj", "up_proj", "o_proj"]}),
    "smolvlm_words": ("smolvlm_2x2", 8, SEEN, ["wide.png"], {
        "r": 4, "lora_alpha": 12, "target_modules": r".*text_model.*\.(k_proj|gate_proj|down_proj)"}),
    # Matrices that lie turned round, in a checkpoint without the base model's name.
    "gpt2_turned": ("gpt2_bare", 9, WORDS, [], {
        "r": 4, "lora_alpha": 10, "fan_in_fan_out": True, "target_modules": ["c_attn", "c_proj", "c_fc"]}),
}  # fmt: skip


def randomise(model, seed):
    """Both matrices of each pair, rounded to bfloat16; together about half as large as the weight."""
    random = torch.Generator().manual_seed(seed)
    for name, p in model.named_parameters():
        if "lora_" in name:
            gain = 1 / math.sqrt(p.shape[1]) if "lora_A" in name else 0.4 / math.sqrt(p.shape[1])
            p.data = (torch.randn(p.shape, generator=random) * gain).to(torch.bfloat16).float()


def make(name, base, seed, prompt, pictures, settings):
    folder = OUT / name
    shutil.rmtree(folder, ignore_errors=True)
    ref = Reference(ROOT / base)
    model = get_peft_model(ref.model, LoraConfig(init_lora_weights=True, **settings)).eval()
    randomise(model, seed)
    model.save_pretrained(folder)
    (folder / "README.md").unlink()
    config = json.loads((folder / "adapter_config.json").read_text())
    config["base_model_name_or_path"] = base
    config["target_modules"] = settings["target_modules"]  # a set is written in no order
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=1, sort_keys=True) + "\n")
    file = folder / "adapter_model.safetensors"
    file.chmod(0o644)

    inputs = ref.inputs(prompt, pictures)
    with torch.inference_mode():
        logits = model(**inputs).logits[0]
    ids, margin = greedy(model, inputs, GREEDY_TOKENS, eos_token_id=None)
    merged = Reference(ROOT / base)
    modules = dict(merged.model.named_modules())
    tensors = load_file(file)
    for key in (k for k in tensors if k.endswith("lora_A.weight")):
        module = key.removeprefix("base_model.model.").removesuffix(".lora_A.weight")
        scale = model.get_submodule(f"base_model.model.{module}").scaling["default"]
        delta = scale * tensors[key.replace("lora_A", "lora_B")].double() @ tensors[key].double()
        delta = delta.T if settings.get("fan_in_fan_out") else delta
        modules[module].weight.data = (modules[module].weight.double() + delta).float()
    with torch.inference_mode():
        plain = Reference(ROOT / base).model(**inputs).logits[0]
        again = merged.model(**inputs).logits[0]
    error = float((again - logits).norm() / logits.norm())
    moved = float((plain - logits).norm() / logits.norm())
    assert error < 5e-6 < 0.1 < moved, (name, error, moved)
    save_file({"logits": logits.numpy().astype(np.float32)}, folder / "golden.safetensors")
    (folder / "golden.safetensors").chmod(0o644)
    record = {"model": base, "prompt": prompt, "images": pictures,
              "ids": inputs["input_ids"][0].tolist(), "greedy": ids,
              "modules": len(tensors) // 2, "versions": {
                  "torch": torch.__version__, "transformers": transformers.__version__,
                  "peft": peft.__version__}}  # fmt: skip
    (folder / "golden.json").write_text(json.dumps(record) + "\n")
    print(f"{name}: {len(tensors) // 2} modules, merged by hand {error:.1e}, moved by {moved:.2f}, "
          f"smallest margin {margin:.1e}")


def main():
    torch.set_num_threads(2)
    transformers.utils.logging.disable_progress_bar()
    for name, what in ADAPTERS.items():
        if not sys.argv[1:] or name in sys.argv[1:]:
            make(name, *what)


if __name__ == "__main__":
    main()
