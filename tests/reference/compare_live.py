"""Runs transformers and Chiasm on one model folder side by side and prints the error of each stage.

    python tests/reference/compare_live.py FOLDER [--image picture.png ...] [--prompt TEXT] [--dtype float32]

Needs torch, transformers and the installed package `chiasm`. For debugging, not a test: the first line
with a large error names the stage to look at. Inside a stage, the C++ parity tests compare every layer.
"""
import argparse
import pathlib
import time

import numpy as np
import torch
import transformers
from PIL import Image

import chiasm
from make_golden import Reference, greedy, run_stages


def show(stage, got, want):
    got, want = np.asarray(got, np.float64), np.asarray(want, np.float64)
    if got.shape != want.shape:
        print(f"{stage:14} shapes differ: {got.shape}, reference {want.shape}")
        return
    error = np.linalg.norm(got - want) / np.linalg.norm(want)
    rows = np.linalg.norm((got - want).reshape(-1, got.shape[-1]), axis=-1)
    print(f"{stage:14} {'x'.join(map(str, got.shape)):>18}  relative L2 {error:.2e}  "
          f"largest difference {np.abs(got - want).max():.2e}, worst row {int(rows.argmax())}")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--image", action="append", default=[])
    parser.add_argument("--prompt")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--tokens", type=int, default=32)
    args = parser.parse_args()
    if args.prompt is None:
        args.prompt = ("<|im_start|>User:" + "<image>" * len(args.image)
                       + "What is this?<end_of_utterance>\nAssistant:")
    return args


def main():
    args = arguments()
    transformers.utils.logging.disable_progress_bar()
    ref = Reference(args.folder)
    model = chiasm.load(str(args.folder), dtype=args.dtype)
    inputs = ref.inputs(args.prompt, [pathlib.Path(p).resolve() for p in args.image])

    features = []
    for path in args.image:
        alone = ref.processor(text="<image>", images=[Image.open(path)], return_tensors="pt")
        mine = model.preprocess_image(path)
        for name in ("pixel_values", "pixel_attention_mask"):
            show(name, mine[name], alone[name].numpy())
        features.append(model.encode_image(path))

    start = time.perf_counter()
    stages = run_stages(ref.model, inputs)
    seconds = time.perf_counter() - start
    if features:
        show("projector.out", np.concatenate(features), stages["projector.out"].numpy())
    start = time.perf_counter()
    logits = model.logits(args.prompt, images=args.image)
    print(f"{'':14} forward pass: {time.perf_counter() - start:.2f} s, reference {seconds:.2f} s")
    show("logits", logits, stages["logits"].numpy())

    ids, margin = greedy(ref.model, inputs, args.tokens)
    mine = model.generate(args.prompt, images=args.image, max_tokens=args.tokens, temperature=0.0)
    same = next((i for i, (a, b) in enumerate(zip(mine.token_ids, ids)) if a != b), len(ids))
    print(f"greedy: equal for {same} of {len(ids)} tokens (smallest margin {margin:.1e} logits)")


if __name__ == "__main__":
    torch.set_num_threads(2)
    main()
