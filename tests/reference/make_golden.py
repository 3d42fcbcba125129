"""Makes tests/golden/models: small random checkpoints and what transformers computes with them.

    python tests/reference/make_golden.py [name ...]      # all, or some

Needs torch, torchvision, transformers, num2words (versions: see README.md). Deterministic up to the
rounding of the machine's float32.
"""
import json
import pathlib
import sys

import numpy as np
import torch
import transformers
from PIL import Image
from transformers import AutoModelForCausalLM, AutoModelForImageTextToText, AutoProcessor, PreTrainedTokenizerFast

import golden_checkpoints
from golden_stages import MAIN_STAGES, Golden, greedy, run_stages, score

ROOT = pathlib.Path(__file__).parents[1] / "golden" / "models"
MAIN_SAMPLES, INNER_SAMPLES, PIXEL_SAMPLES = 1500, 300, 3000
GREEDY_TOKENS = 64
SMALLEST_MARGIN = 2e-3  # logits; float32 noise is about 1e-5 of the same
PICTURES = {"wide.png": (150, 70), "tall.png": (37, 121), "square.png": (90, 90), "dot.png": (23, 17)}
HALF = [0.5, 0.5, 0.5]
PROMPTS = {  # name: (prompt, pictures)
    "one": ("<|im_start|>User:<image>What is this?<end_of_utterance>\nAssistant:", ["wide.png"]),
    "two": ("<|im_start|>User: First<image> then,\n\n<image>\n12 differences? 그림<end_of_utterance>\n"
            "Assistant:", ["tall.png", "dot.png"]),
    "square": ("<image>", ["square.png"]),
    "text": ("<|im_start|>User: How many people are there in 1234?<end_of_utterance>\nAssistant:", []),
}
TEXT_PROMPTS = {
    "text": ("<|im_start|>How many people are there in 1234 pictures, or none?\n\nNothing", []),
    "long": ("The picture shows a red bicycle beside an old wall, and nobody is near it. 그림에는 "
             "자전거가 있다. Nothing in the world is as soft as water, yet nothing is better at wearing "
             "the hard away.\n\n 0.25 !? " * 2, []),
    "short": ("a", []),
}
ANSWERS = [" a red bicycle", "no", "그림에는 0.25"]
WORDS = "What is <image> this?"  # of a user: never structure


def picture(width, height):
    """Smooth gradients, a hard-edged disc and fine texture, from integers alone."""
    y, x = np.mgrid[0:height, 0:width]
    r = 255 * x // max(width - 1, 1)
    g = 255 * y // max(height - 1, 1)
    b = (x * x + 3 * x * y + 7 * y) % 251
    disc = (2 * x - width) ** 2 + (2 * y - height) ** 2 < min(width, height) ** 2 // 2
    return np.stack([np.where(disc, 255 - r, r), np.where(disc, 40, g), b], -1).astype(np.uint8)


def write_pictures():
    folder = ROOT / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    for name, (width, height) in PICTURES.items():
        Image.fromarray(picture(width, height)).save(folder / name, optimize=True)


class Reference:
    """A folder as transformers loads it, in float32."""

    def __init__(self, folder):
        config = json.loads((folder / "config.json").read_text())
        self.text_only = "text_config" not in config
        auto = AutoModelForCausalLM if self.text_only else AutoModelForImageTextToText
        self.model = auto.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
        self.processor = None if self.text_only else AutoProcessor.from_pretrained(folder)
        # The file as it is: for some model types AutoTokenizer puts a pre-tokenizer of its own in.
        self.tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)

    def inputs(self, prompt, names):
        if self.text_only or not names:
            return dict(self.tokenizer(prompt, return_tensors="pt"))
        images = [Image.open(ROOT / "pictures" / n) for n in names]
        out = self.processor(text=[prompt], images=[images], return_tensors="pt")
        return {k: out[k] for k in ("input_ids", "attention_mask", "pixel_values",
                                    "pixel_attention_mask")}


def record_pictures(ref, golden):
    """What the image processor returns for each picture alone, and how many prompt tokens it makes."""
    out = []
    for name in PICTURES:
        inputs = ref.inputs("<image>", [name])
        arrays = {k: golden.array(f"{name}/{k}", inputs[k], HALF, HALF, PIXEL_SAMPLES)
                  for k in ("pixel_values", "pixel_attention_mask")}
        out.append({"file": name, "arrays": arrays, "prompt_tokens": inputs["input_ids"].shape[1]})
    return out


def record_case(ref, golden, name, prompt, names):
    inputs = ref.inputs(prompt, names)
    stages = {}
    for stage, values in run_stages(ref.model, inputs).items():
        samples = MAIN_SAMPLES if stage in MAIN_STAGES else INNER_SAMPLES
        stages[stage] = golden.add(f"{name}/{stage}", values, samples)
    ids, margin = greedy(ref.model, inputs, GREEDY_TOKENS, eos_token_id=None)
    penalized, penalized_margin = greedy(ref.model, inputs, GREEDY_TOKENS, eos_token_id=None,
                                         repetition_penalty=1.3)
    for what, value in ((name, margin), (f"{name}, penalty", penalized_margin)):
        if value < SMALLEST_MARGIN:
            print(f"  {what}: smallest margin {value:.1e} is close to float32 noise")
    answers = [ref.tokenizer(a, add_special_tokens=False)["input_ids"] for a in ANSWERS]
    return {"name": name, "prompt": prompt, "images": names, "ids": inputs["input_ids"][0].tolist(),
            "stages": stages, "greedy": ids, "greedy_margin": margin,
            "greedy_text": ref.tokenizer.decode(ids, skip_special_tokens=True),
            "penalized": penalized, "penalized_margin": penalized_margin,
            "scores": [score(ref.model, inputs, a) for a in answers]}


def choose_end_tokens(ref, folder, case, extra):
    """generation_config.json with several end tokens, two of which the first case's greedy answer
    meets: the later in the answer comes first in the list."""
    seen = list(dict.fromkeys(case["greedy"]))
    ends = [seen[len(seen) * 2 // 3], seen[len(seen) // 3], 2]
    config = {"bos_token_id": 1, "eos_token_id": ends, "pad_token_id": 2, **extra}
    golden_checkpoints.write_json(folder / "generation_config.json", config)
    stop = min(case["greedy"].index(e) for e in ends[:2])
    return {"eos_token_ids": ends, "stopped": case["greedy"][:stop]}


def record_turn(ref):
    """Ids of the family's turn. The user's words hold "<image>" as text, which is not structure: the
    template is filled with a mark, and the words are tokenized without special tokens."""
    message = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What is it?"}]}]
    prompt = ref.processor.apply_chat_template(message, add_generation_prompt=True)
    ids = ref.inputs(prompt, ["wide.png"])["input_ids"][0].tolist()
    return {"words": "What is it?", "images": ["wide.png"], "prompt": prompt, "ids": ids}


def make(c):
    folder = ROOT / c.name
    print(c.name)
    golden_checkpoints.build(c, folder)
    if c.generation:
        golden_checkpoints.write_json(folder / "generation_config.json", c.generation)
    ref, golden = Reference(folder), Golden()
    prompts = TEXT_PROMPTS if ref.text_only else PROMPTS
    pictures = [] if ref.text_only else record_pictures(ref, golden)
    cases = [record_case(ref, golden, n, *p) for n, p in prompts.items()]
    record = {
        "family": c.family, "dtype": c.dtype, "answers": ANSWERS,
        **({} if ref.text_only else {"picture_prompt": "<image>", "image_mean": HALF, "image_std": HALF}),
        "pictures": pictures, "cases": cases,
        "ends": choose_end_tokens(ref, folder, cases[0], c.generation),
        "turn": None if ref.text_only else record_turn(ref),
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
    }
    golden.save(folder / "golden.safetensors")
    (folder / "golden.json").write_text(json.dumps(record, ensure_ascii=False) + "\n")
    for case in cases:
        print(f"  {case['name']}: {len(case['ids'])} tokens, {len(set(case['greedy']))} distinct greedy, "
              f"margins {case['greedy_margin']:.1e} {case['penalized_margin']:.1e}, "
              f"scores {[round(s, 2) for s in case['scores']]}")


def main():
    torch.set_num_threads(2)
    transformers.utils.logging.disable_progress_bar()
    write_pictures()
    for c in golden_checkpoints.CHECKPOINTS:
        if not sys.argv[1:] or c.name in sys.argv[1:]:
            make(c)


if __name__ == "__main__":
    main()
