"""Makes tests/golden/large: what transformers computes with SmolVLM-256M's full shape.

    python tests/reference/make_large_golden.py CHECKPOINT

CHECKPOINT is a folder written by random_checkpoint.py (without --tokenizer). Only sampled outputs are
kept; the tests generate the same weights anew. Two processors: the published one, with which the square
picture makes 17 tiles, and one with a longest edge of 512, with which any picture is a single tile.
"""
import hashlib
import json
import pathlib
import sys
import tempfile

import torch
import transformers

import make_golden
from golden_stages import Golden

ROOT = pathlib.Path(__file__).parents[1] / "golden" / "large"
SINGLE = {"longest_edge": 512}
PROMPT = make_golden.PROMPTS["one"][0]
CASES = [("single", ["wide.png"], True), ("tiles", ["square.png"], False), ("text", [], True)]


def with_longest_edge(folder, into, size):
    """A folder that shares the weights but resizes pictures to another size."""
    for file in folder.iterdir():
        (into / file.name).symlink_to(file.resolve())
    path = into / "preprocessor_config.json"
    config = json.loads(path.read_text())
    path.unlink()
    path.write_text(json.dumps({**config, "size": size}))


def digest(path):
    """BLAKE2b of the weights file: the test's own file must have the same."""
    state = hashlib.blake2b(digest_size=16)
    with open(path, "rb") as file:
        while part := file.read(1 << 24):
            state.update(part)
    return state.hexdigest()


def record(ref, golden, name, names, answer):
    prompt = PROMPT if names else make_golden.PROMPTS["text"][0]
    inputs = ref.inputs(prompt, names)
    stages = {}
    for stage, values in make_golden.run_stages(ref.model, inputs).items():
        samples = 3000 if stage in make_golden.MAIN_STAGES else make_golden.INNER_SAMPLES
        stages[stage] = golden.add(f"{name}/{stage}", values, samples)
    case = {"name": name, "prompt": prompt, "images": names, "ids": inputs["input_ids"][0].tolist(),
            "stages": stages, "greedy": [], "greedy_margin": 0.0, "greedy_text": "", "penalized": [],
            "penalized_margin": 0.0, "scores": []}
    if answer:
        case["greedy"], case["greedy_margin"] = make_golden.greedy(
            ref.model, inputs, make_golden.GREEDY_TOKENS, eos_token_id=None)
        case["greedy_text"] = ref.tokenizer.decode(case["greedy"], skip_special_tokens=True)
    print(f"{name}: {len(case['ids'])} tokens, {len(set(case['greedy']))} distinct greedy, "
          f"margin {case['greedy_margin']:.1e}")
    return case


def main():
    torch.set_num_threads(2)
    transformers.utils.logging.disable_progress_bar()
    folder = pathlib.Path(sys.argv[1])
    golden = Golden()
    with tempfile.TemporaryDirectory() as single:
        with_longest_edge(folder, pathlib.Path(single), SINGLE)
        ref = make_golden.Reference(pathlib.Path(single))
        tiled = make_golden.Reference.__new__(make_golden.Reference)
        tiled.__dict__.update(ref.__dict__)
        tiled.processor = transformers.AutoProcessor.from_pretrained(folder)
        cases = [record(tiled if name == "tiles" else ref, golden, name, names, answer)
                 for name, names, answer in CASES]
    golden.save(ROOT / "golden.safetensors")
    result = {"family": "idefics3", "dtype": "bfloat16", "answers": [], "pictures": [], "cases": cases,
              "ends": None, "turn": None, "weights_blake2b": digest(folder / "model.safetensors"),
              "versions": {"torch": torch.__version__, "transformers": transformers.__version__}}
    (ROOT / "golden.json").write_text(json.dumps(result, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
