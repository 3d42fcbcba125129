"""Makes tests/golden/vision/: pictures, and what Pillow, torchvision and transformers make of them.

    python tests/reference/make_vision_golden.py

Large results are stored as the CRC-32 of their bytes (uint8 pixels, float32 pixel_values) and a few
samples for a readable failure. Large inputs come from `formula`, which the tests compute as well.
"""
import json
import logging
import pathlib
import warnings
import zlib

import numpy as np
import PIL
import torch
import torchvision
import transformers
from PIL import Image
from torchvision.transforms.v2 import functional as tv
from transformers import Idefics3ImageProcessor, SmolVLMImageProcessor
from transformers.image_utils import load_image

from vision_pictures import pictures

HERE = pathlib.Path(__file__).parent
OUT = HERE.parent / "golden" / "vision"
FILTERS = ("nearest", "bilinear", "bicubic", "lanczos")
PIL_FILTERS = (0, 2, 3, 1)

# The published SmolVLM's settings, a small cut of them for many pictures, and every switch.
HALF = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}
SMALL = {"size": {"longest_edge": 384}, "max_image_size": {"longest_edge": 96}}
CONFIGS = {
    "smolvlm": {"size": {"longest_edge": 2048}, "max_image_size": {"longest_edge": 512}, "resample": 1,
                "rescale_factor": 0.00392156862745098, "do_convert_rgb": True, "do_image_splitting": True,
                "do_normalize": True, "do_pad": True, "do_rescale": True, "do_resize": True, **HALF},
    "small": {**SMALL, "resample": 1, **HALF},
    "defaults": {},
    "whole": {**SMALL, "do_image_splitting": False},
    "bilinear": {**SMALL, "resample": 2, "image_mean": [0.48145466, 0.4578275, 0.40821073],
                 "image_std": [0.26862954, 0.26130258, 0.27577711]},
    "bicubic": {**SMALL, "resample": 3, "do_normalize": False},
    "nearest": {**SMALL, "resample": 0, "do_rescale": False},
    "raw": {**SMALL, "do_rescale": False, "do_normalize": False},
    "no_resize": {"do_resize": False, "max_image_size": {"longest_edge": 96}},
    "no_resize_whole": {"do_resize": False, "do_image_splitting": False,
                        "max_image_size": {"longest_edge": 96}},
    "fixed": {"size": {"height": 200, "width": 333}, "max_image_size": {"longest_edge": 96}},
    "over_4096": {"size": {"longest_edge": 5000}, "max_image_size": {"longest_edge": 700}},
    "odd": {"size": {"longest_edge": 301}, "max_image_size": {"longest_edge": 77},
            "rescale_factor": 1 / 127.5, "image_mean": [0.3, 0.5, 0.7], "image_std": [0.9, 0.4, 0.6]},
}
SHAPES = ((1, 1), (1, 2000), (2000, 1), (500, 19), (17, 4001), (96, 96), (97, 96), (384, 288), (1000, 999),
          (333, 500))


def formula(width, height):
    """Slopes, noise, and blocks of pure black and white: [height, width, 3]. See tests/support."""
    y, x, c = np.mgrid[0:height, 0:width, 0:3].astype(np.uint32)
    h = x * np.uint32(0x9E3779B1) ^ y * np.uint32(0x85EBCA77) ^ c * np.uint32(0xC2B2AE3D)
    h ^= h >> np.uint32(15)
    h *= np.uint32(0x2C1B3C6D)
    h ^= h >> np.uint32(12)
    level = (((x * 5 + y * 3 + c * 40) >> 2) & 255) * 3 // 4 + (h & 63)
    block = (x // 16 + y // 16 + c) % 7
    level[block == 0] = 0
    level[block == 1] = 255
    return level.astype(np.uint8)


def crc(array):
    return zlib.crc32(np.ascontiguousarray(array))


def samples(array, count):
    """`count` entries [*index, value], spread over the array."""
    flat = np.ascontiguousarray(array).reshape(-1)
    where = [(i * 2654435761 + 12345) % flat.size for i in range(count)]
    return [[*map(int, np.unravel_index(i, array.shape)), flat[i].item()] for i in where]


def processed(image, name):
    """The reference's pixel_values of one picture, checked to be the same from both processors."""
    config = CONFIGS[name]
    results = []
    for kind in (Idefics3ImageProcessor, SmolVLMImageProcessor):
        out = kind(**config)(image, return_tensors="pt", return_row_col_info=True)
        assert out["pixel_attention_mask"].min() == 1  # these processors only make whole squares
        results.append((out["pixel_values"][0].numpy(), out["rows"][0][0], out["cols"][0][0]))
    (values, rows, cols), (others, *_) = results
    assert np.array_equal(values, others)
    return {"config": name, "rows": rows, "cols": cols, "shape": list(values.shape),
            "crc": crc(values.astype(np.float32)), "samples": samples(values, 6)}


def decoded(path):
    """What transformers' load_image gives, or None where it refuses.

    Its pixels alone: a transparent colour that Pillow remembers beside RGB pixels would make the
    processor paint that colour white, though load_image has just dropped all other transparency.
    """
    try:
        return Image.fromarray(np.array(load_image(str(path))))
    except (OSError, ValueError, SyntaxError):
        return None


def make_pictures():
    cases, refused = [], []
    folder = OUT / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    for name, data in pictures():
        (folder / name).write_bytes(data)
        image = decoded(folder / name)
        if image is None:
            refused.append(name)
            continue
        pixels = np.array(image)
        cases.append({"file": name, "width": image.width, "height": image.height, "crc": crc(pixels),
                      "samples": samples(pixels, 4), "processor": processed(image, "small")})
    return cases, refused


def make_resizes():
    cases = []
    targets = {(1, 1): [(7, 5)], (1, 2000): [(2, 2048)], (500, 19): [(2048, 78), (96, 96)],
               (17, 4001): [(8, 2048), (300, 4001), (17, 40)], (384, 288): [(96, 96), (385, 287), (384, 100)],
               (333, 500): [(300, 40), (40, 300), (700, 499), (332, 501), (31, 29)],
               (2048, 1536): [(512, 512)]}
    for (width, height), sizes in targets.items():
        pixels = formula(width, height)
        for to_width, to_height in sizes:
            for filter_name, number in zip(FILTERS, PIL_FILTERS):
                tensor = torch.from_numpy(pixels).permute(2, 0, 1)
                mode = tv.InterpolationMode(filter_name.replace("nearest", "nearest-exact"))
                by_torch = tv.resize(tensor, [to_height, to_width], mode, antialias=True)
                by_pillow = Image.fromarray(pixels).resize((to_width, to_height), number)
                for order, result in (("torchvision", by_torch.permute(1, 2, 0).numpy()),
                                      ("pillow", np.array(by_pillow))):
                    cases.append({"from": [width, height], "to": [to_width, to_height],
                                  "filter": filter_name, "order": order, "crc": crc(result),
                                  "samples": samples(result, 3)})
    return cases


def make_processed():
    cases = []
    for name in CONFIGS:
        big = name in ("smolvlm", "over_4096")
        for width, height in SHAPES[:5] if name == "smolvlm" else SHAPES[-1:] if big else SHAPES:
            image = Image.fromarray(formula(width, height))
            cases.append({"formula": [width, height], **processed(image, name)})
    for file in ("astronaut.jpg", "huge.png"):
        cases.append({"file": file, **processed(decoded(OUT / "pictures" / file), "smolvlm")})
    return cases


def write_json(path, document):
    """One case a line."""
    parts = []
    for key, value in document.items():
        if isinstance(value, list):
            body = "[\n" + ",\n".join("  " + json.dumps(v, separators=(",", ":")) for v in value) + "\n]"
        else:
            body = json.dumps(value)
        parts.append(f"{json.dumps(key)}: {body}")
    path.write_text("{\n" + ",\n".join(parts) + "\n}\n")


def main():
    warnings.simplefilter("ignore")
    logging.getLogger("transformers").setLevel(logging.ERROR)
    cases, refused = make_pictures()
    write_json(OUT / "golden.json", {
        "made_with": {"pillow": PIL.__version__, "torch": torch.__version__,
                      "torchvision": torchvision.__version__, "transformers": transformers.__version__},
        "configs": CONFIGS, "pictures": cases, "refused": refused, "resizes": make_resizes(),
        "processed": make_processed()})
    print(len(cases), "pictures;", sum(f.stat().st_size for f in OUT.rglob("*") if f.is_file()), "bytes")


if __name__ == "__main__":
    main()
