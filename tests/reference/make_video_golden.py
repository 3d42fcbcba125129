"""Makes tests/golden/video: which frames each family's processor takes from a video (sampling.json), and
what transformers computes from the frames of a small one with folders of tests/golden/models.

    python tests/reference/make_video_golden.py [folder ...]      # all, or some folders

Needs the folders of make_golden.py and make_family_golden.py.
"""

import importlib
import json
import pathlib
import sys

import numpy as np
import torch
import transformers
from families import base
from golden_stages import Golden, Stages, greedy
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor, AutoTokenizer
from transformers.video_utils import VideoMetadata

OUT = pathlib.Path(__file__).parents[1] / "golden" / "video"
MODELS = base.ROOT
CLIP = {"width": 50, "height": 34, "frames": 23, "fps": 7.5}
TEXT_KEYS = base.TEXT_KEYS + ("second_per_grid_ts",)


def frame(width, height, t):
    """Frame t of a video that moves, from integers alone; tests make it anew. [height, width, 3]"""
    y, x = np.mgrid[0:height, 0:width]
    r = (255 * x // (width - 1) + 13 * t) % 256
    g = (255 * y // (height - 1) + 7 * t * t) % 256
    b = (x * x + 3 * x * y + 7 * y + 29 * t) % 251
    disc = (2 * x - width + 4 * t) ** 2 + (2 * y - height) ** 2 < min(width, height) ** 2 // 2
    return np.stack([np.where(disc, 255 - r, r), np.where(disc, 40, g), b], -1).astype(np.uint8)


def clip(frames=CLIP["frames"]):
    return np.stack([frame(CLIP["width"], CLIP["height"], t) for t in range(frames)])


def metadata(total, fps):
    return VideoMetadata(total_num_frames=total, fps=fps, duration=total / fps)


USER, ANSWER = "<|im_start|>user\n", "<|im_end|>\n<|im_start|>assistant\n"
QWEN = "<|vision_start|><|video_pad|><|vision_end|>"
QWEN3 = "<|video_pad|>"
PICTURE = "<|vision_start|><|image_pad|><|vision_end|>"
SAMPLED = {"do_sample_frames": True}
# folder: (family's module or None, [(name, prompt, pictures, options of the call)])
FOLDERS = {
    "qwen2_5_vl_windows": (
        "qwen2_5_vl",
        [
            ("sampled", f"{USER}{QWEN}What is this?{ANSWER}", [], {**SAMPLED, "fps": 2}),
            ("picture", f"{USER}{PICTURE}{QWEN}What is it?{ANSWER}", ["dot.png"], {**SAMPLED, "fps": 2.5}),
            ("all", f"{USER}{QWEN}What is this?{ANSWER}", [], {"do_sample_frames": False}),
        ],
    ),
    "qwen2_vl_merge": (
        "qwen2_vl",
        [("sampled", f"{USER}{PICTURE}{QWEN}What is this?{ANSWER}", ["dot.png"], {**SAMPLED, "num_frames": 7})],
    ),
    "internvl_tiles": (
        "internvl",
        [
            ("sampled", f"{USER}<IMG_CONTEXT>\n<video>\nWhat is this?{ANSWER}", ["dot.png"],
             {**SAMPLED, "num_frames": 3}),
            ("first", f"{USER}<video>\n<IMG_CONTEXT>\nWhat is it?{ANSWER}", ["dot.png"],
             {**SAMPLED, "num_frames": 2}),
        ],
    ),
    "qwen3_vl_deepstack": (
        "qwen3_vl",
        [
            ("sampled", f"{USER}{QWEN}What is this?{ANSWER}", [], {**SAMPLED, "fps": 2}),
            ("odd", f"{USER}{PICTURE}{QWEN3}What is it?{ANSWER}", ["dot.png"], {**SAMPLED, "fps": 2.5}),
        ],
    ),
    "llava_onevision_anyres": (
        "llava_onevision",
        [
            ("sampled", "<|im_start|>user <video>\nWhat is this?<|im_end|><|im_start|>assistant\n", [],
             {**SAMPLED, "num_frames": 4}),
            ("one", "<video>", [], {**SAMPLED, "num_frames": 1}),
        ],
    ),
    "smolvlm_2x2": (
        None,
        [("sampled", "<|im_start|>User: <video>What is this?<end_of_utterance>\nAssistant:", [], SAMPLED)],
    ),
}
ALL_FRAMES = 5  # of the cases that take every frame: odd, so that one is repeated


def load(folder, family):
    """Model, processor, tokenizer, stages by model, mean and deviation."""
    path = MODELS / folder
    processor, tokenizer = AutoProcessor.from_pretrained(path), AutoTokenizer.from_pretrained(path)
    if family is None:
        model = AutoModelForImageTextToText.from_pretrained(
            path, dtype=torch.float32, attn_implementation="eager"
        ).eval()
        return model, processor, tokenizer, Stages, base.HALF, base.HALF
    module = importlib.import_module(f"families.{family}")
    f = next(f for f in module.FOLDERS if f.name == folder)
    ref = base.Reference(f, path)
    return ref.model, processor, tokenizer, lambda model: base.Stages(f, model), f.mean, f.std


def record_case(loaded, golden, family, name, prompt, pictures, options):
    model, processor, tokenizer, stages, mean, std = loaded
    if hasattr(model.model, "rope_deltas"):
        model.model.rope_deltas = None
    total = CLIP["frames"] if options["do_sample_frames"] else ALL_FRAMES
    images = [Image.open(MODELS / "pictures" / p) for p in pictures]
    about = metadata(total, CLIP["fps"])
    out = processor(
        text=[prompt], images=[images] if images else None, videos=[clip(total)], video_metadata=[about],
        return_tensors="pt", return_metadata=True, **options,
    )
    about = (out.pop("video_metadata", None) or [about])[0]
    indices = about.frames_indices
    if indices is None:  # the processor does not give them back
        sampler = processor.video_processor
        chosen = {k: v for k, v in options.items() if k in ("fps", "num_frames")}
        indices = range(total)
        if options["do_sample_frames"]:
            indices = sampler.sample_frames(metadata(total, CLIP["fps"]), **chosen)
    inputs = dict(out)
    with torch.inference_mode(), stages(model) as recorded:
        recorded.keep("logits", model(**inputs).logits)
    kept = {}
    for stage, values in recorded.values.items():
        samples = base.MAIN_SAMPLES if stage in base.MAIN_STAGES else base.INNER_SAMPLES
        kept[stage] = golden.add(f"{name}/{stage}", values, samples)
    ids, margin = greedy(model, inputs, base.GREEDY_TOKENS, eos_token_id=None)
    print(f"  {name}: {inputs['input_ids'].shape[1]} tokens, {len(indices)} frames, margin {margin:.1e}")
    case = {
        "name": name,
        "prompt": prompt,
        "images": pictures,
        "options": options,
        "frames": total,
        "indices": [int(i) for i in indices],
        "arrays": {
            k: golden.array(f"{name}/{k}", v, mean, std, base.PIXEL_SAMPLES)
            for k, v in inputs.items() if k not in TEXT_KEYS
        },
        "ids": inputs["input_ids"][0].tolist(),
        "stages": kept,
        "greedy": ids,
        "greedy_margin": margin,
        "greedy_text": tokenizer.decode(ids, skip_special_tokens=True),
    }
    if "second_per_grid_ts" in inputs:
        case["second_per_grid_ts"] = [float(s) for s in inputs["second_per_grid_ts"]]
    if "mm_token_type_ids" in inputs:
        case["token_types"] = inputs["mm_token_type_ids"][0].tolist()
        module = importlib.import_module("families.qwen2_5_vl")
        case["positions"] = module.positions(model, inputs).tolist()
    return case


def make(folder):
    print(folder)
    family, cases = FOLDERS[folder]
    loaded, golden = load(folder, family), Golden()
    record = {
        "folder": folder,
        "clip": CLIP,
        "image_mean": loaded[-2],
        "image_std": loaded[-1],
        "cases": [record_case(loaded, golden, family, *c) for c in cases],
    }
    golden.save(OUT / f"{folder}.safetensors")
    (OUT / f"{folder}.safetensors").chmod(0o644)
    text = json.dumps(record, ensure_ascii=False, separators=(",", ":"))
    (OUT / f"{folder}.json").write_text(text + "\n")


# (frames, frames a second) of videos, and options by family. None: an error.
VIDEOS = [(1, 25.0), (2, 30.0), (3, 24.0), (23, 7.5), (31, 29.97), (100, 25.0), (719, 23.976),
          (1800, 30.0), (2100, 30.0), (7300, 60.0), (36000, 10.0)]
OPTIONS = {
    "qwen2_5_vl": [{"fps": 2}, {"fps": 1}, {"fps": 0.5}, {"num_frames": 7}, {"num_frames": 16}],
    "qwen3_vl": [{"fps": 2}, {"fps": 1}, {"fps": 4}, {"num_frames": 7}, {"num_frames": 16}],
    "llava_onevision": [{"num_frames": 4}, {"num_frames": 32}, {"fps": 1}, {"fps": 3}],
    "smolvlm": [{"fps": 1, "num_frames": 64}, {"fps": 2, "num_frames": 8}, {"fps": 1, "num_frames": 3}],
}
PROCESSORS = {
    "qwen2_5_vl": "qwen2_5_vl_windows",
    "qwen3_vl": "qwen3_vl_deepstack",
    "llava_onevision": "llava_onevision_anyres",
    "smolvlm": "smolvlm_2x2",
}


def sampling():
    out = []
    for family, options in OPTIONS.items():
        processor = AutoProcessor.from_pretrained(MODELS / PROCESSORS[family]).video_processor
        for total, fps in VIDEOS:
            for o in options:
                try:
                    got = processor.sample_frames(metadata(total, fps), **o)
                    indices = [int(i) for i in got]
                except (ValueError, ZeroDivisionError, RuntimeError) as error:
                    print(f"  {family} {total} {fps} {o}: {error}")
                    indices = None
                out.append({"family": family, "frames": total, "fps": fps, **summary(indices), "options": o})
    lines = ",\n".join(json.dumps(o, separators=(",", ":")) for o in out)
    (OUT / "sampling.json").write_text(f"[{lines}]\n")


def summary(indices):
    """All indices, or the first of many with two sums."""
    if indices is None:
        return {"count": None}
    weighted = sum(i * v for i, v in enumerate(indices))
    return {"count": len(indices), "sum": sum(indices), "weighted_sum": weighted, "first": indices[:24]}


def main():
    torch.set_num_threads(2)
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    OUT.mkdir(parents=True, exist_ok=True)
    for folder in FOLDERS:
        if not sys.argv[1:] or folder in sys.argv[1:]:
            make(folder)
    if not sys.argv[1:]:
        sampling()


if __name__ == "__main__":
    main()
