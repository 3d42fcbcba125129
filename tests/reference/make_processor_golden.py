"""Makes tests/golden/vision/processors.json: what transformers' image processors make of pictures.

    python tests/reference/make_processor_golden.py

For each processor and setting: the layout (tiles, grid, tokens) of pictures of many sizes, and for a
few of them the CRC-32 of every float32 of pixel_values, with samples for a readable failure. Pictures
come from `formula`, which the tests compute as well. `null` stands for a refusal of the reference.
"""
import contextlib
import logging
import warnings

import numpy as np
import torch
import torchvision
import transformers
from transformers.models.clip.image_processing_clip import CLIPImageProcessor
from transformers.models.llava.image_processing_llava import LlavaImageProcessor
from transformers.models.qwen2_vl.image_processing_qwen2_vl import Qwen2VLImageProcessor
from transformers.models.siglip.image_processing_siglip import SiglipImageProcessor

from make_vision_golden import HALF, OUT, crc, formula, samples, write_json

# Width, height. The last four are absurd.
SIZES = ((224, 224), (336, 336), (448, 448), (512, 512), (640, 480), (480, 640), (333, 500), (500, 333),
         (800, 600), (1024, 768), (768, 1024), (1000, 999), (999, 1000), (97, 301), (301, 97), (64, 64),
         (23, 17), (17, 23), (31, 29), (100, 700), (700, 100), (1280, 720), (720, 1280), (1600, 400),
         (400, 1600), (223, 225), (225, 223), (150, 149), (672, 335), (335, 673), (1001, 1501), (2, 3),
         (5, 900), (900, 5), (450, 640), (28, 28), (27, 29), (1337, 255), (254, 1999), (14, 1400),
         (1, 1), (1, 7), (4000, 1), (1, 4000))
PICTURES = ((333, 500), (640, 427), (97, 301), (23, 17), (224, 224), (1, 1), (500, 19), (1000, 700))
LOW = {"image_mean": [0.3, 0.5, 0.7], "image_std": [0.9, 0.4, 0.6]}


def picture(width, height):
    """As torchvision's backend takes it without asking which axis is which: [3, height, width]."""
    return torch.from_numpy(formula(width, height)).permute(2, 0, 1).contiguous()


def run(processor, width, height, **options):
    """The processor's answer, or None where the reference fails, whatever it fails with."""
    with contextlib.suppress(ValueError, ZeroDivisionError, TypeError, IndexError, RuntimeError):
        return processor(picture(width, height), input_data_format="channels_first", return_tensors="pt",
                         **options)
    return None


def case(name, config, processor, layout, pictures=PICTURES, sizes=SIZES, values=None, **options):
    """layout(answer, width, height): integers that describe the cut; values(answer): the pixels."""
    values = values or (lambda answer: answer["pixel_values"])
    layouts, seen = [], []
    for width, height in (*sizes, *(p for p in pictures if p not in sizes)):
        answer = run(processor, width, height, **options)
        layouts.append([[width, height], None if answer is None else layout(answer, width, height)])
        if answer is not None and (width, height) in pictures:
            array = np.ascontiguousarray(values(answer).numpy().astype(np.float32))
            seen.append({"size": [width, height], "shape": list(array.shape), "crc": crc(array),
                         "samples": samples(array, 3)})
    print(f"{name}: {len(layouts)} sizes, {sum(x is None for _, x in layouts)} refused, {len(seen)} pictures")
    return {"name": name, "config": config, "layouts": layouts, "pictures": seen}


def plain():
    """CLIP, LLaVA, SigLIP: the layout is the height and width of the one tile."""
    kinds = {"clip": CLIPImageProcessor, "llava": LlavaImageProcessor, "siglip": SiglipImageProcessor}
    settings = [
        ("clip", {}),
        ("clip", {"size": {"shortest_edge": 336}, "crop_size": {"height": 336, "width": 336}}),
        ("clip", {"size": 60, "crop_size": [90, 40], "resample": 2, **LOW}),
        ("clip", {"size": {"height": 50, "width": 70}, "do_center_crop": False, "resample": 1}),
        ("clip", {"size": {"shortest_edge": 40, "longest_edge": 90}, "do_center_crop": False}),
        ("clip", {"size": {"max_height": 40, "max_width": 90}, "do_center_crop": False, "resample": 0}),
        ("clip", {"do_resize": False, "crop_size": 200, "do_normalize": False}),
        ("llava", {"do_pad": True, "size": {"shortest_edge": 64}, "crop_size": 64}),
        ("llava", {"do_pad": True, "size": 70, "crop_size": 56, "do_rescale": False, **LOW}),
        ("siglip", {}),
        ("siglip", {"size": {"height": 384, "width": 384}, "resample": 3, **HALF}),
    ]
    # Pictures that the reference resizes to 896000 x 224 only once, for their 600 MB.
    thin = [(4000, 1), (1, 4000)]
    sizes = [s for s in SIZES if s not in thin] + [(1, 400), (400, 1)]

    def one(kind, config, **options):
        return case(kind, config, kinds[kind](**config), lambda a, w, h: list(a["pixel_values"].shape[-2:]),
                    **options)
    return [one(kind, config, sizes=sizes) for kind, config in settings] + [
        one("clip", {}, sizes=thin, pictures=thin)]


def qwen_vl():
    """The layout is image_grid_thw."""
    settings = [{},
                {"min_pixels": 28 * 28 * 4, "max_pixels": 28 * 28 * 64},
                {"size": {"shortest_edge": 3136, "longest_edge": 200704}, "max_pixels": 100352},
                {"size": {"shortest_edge": 65536, "longest_edge": 16777216}, "patch_size": 16, **HALF},
                {"patch_size": 4, "merge_size": 3, "temporal_patch_size": 1, "min_pixels": 144,
                 "max_pixels": 20000, "resample": 2, **LOW},
                {"do_resize": False, "patch_size": 7, "merge_size": 1}]
    return [case("qwen_vl", config, Qwen2VLImageProcessor(**config),
                 lambda a, w, h: a["image_grid_thw"][0].tolist(),
                 pictures=PICTURES[:4] if i in (0, 3) else PICTURES) for i, config in enumerate(settings)]


def main():
    warnings.simplefilter("ignore")
    logging.getLogger("transformers").setLevel(logging.ERROR)
    cases = {"plain": plain(), "qwen_vl": qwen_vl()}
    path = OUT / "processors.json"
    write_json(path, {
        "made_with": {"torch": torch.__version__, "torchvision": torchvision.__version__,
                      "transformers": transformers.__version__}, **cases})
    print(path.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
