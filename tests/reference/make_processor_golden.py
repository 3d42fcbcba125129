"""Makes tests/golden/vision/processors.json: what transformers' image processors make of pictures.

    python tests/reference/make_processor_golden.py [family ...]

For each processor and setting: the layout (tiles, grid, tokens) of pictures of many sizes, and for a
few of them the CRC-32 of every float32 of pixel_values, with samples for a readable failure. Pictures
come from `formula`, which the tests compute as well. `null` stands for a refusal of the reference.
"""
import contextlib
import json
import logging
import sys
import types
import warnings

import numpy as np
import torch
import torchvision
import transformers
from transformers.models.clip.image_processing_clip import CLIPImageProcessor
from transformers.models.gemma3.image_processing_gemma3 import Gemma3ImageProcessor
from transformers.models.gemma3.processing_gemma3 import Gemma3Processor
from transformers.models.got_ocr2.image_processing_got_ocr2 import (GotOcr2ImageProcessor,
                                                                    get_optimal_tiled_canvas)
from transformers.models.internvl.processing_internvl import InternVLProcessor
from transformers.models.lfm2_vl.image_processing_lfm2_vl import Lfm2VlImageProcessor
from transformers.models.llava.image_processing_llava import LlavaImageProcessor
from transformers.models.llava_next.image_processing_llava_next import LlavaNextImageProcessor
from transformers.models.llava_next.modeling_llava_next import LlavaNextModel, get_anyres_image_grid_shape
from transformers.models.llava_onevision.image_processing_llava_onevision import (
    LlavaOnevisionImageProcessor)
from transformers.models.llava_onevision.modeling_llava_onevision import LlavaOnevisionModel
from transformers.models.pixtral.image_processing_pixtral import PixtralImageProcessor
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
        cut = None if answer is None else list(map(int, layout(answer, width, height)))
        layouts.append([[width, height], cut])
        if answer is not None and (width, height) in pictures:
            array = np.ascontiguousarray(values(answer).numpy().astype(np.float32))
            seen.append({"size": [width, height], "shape": list(array.shape), "crc": crc(array),
                         "samples": samples(array, 3)})
    refused = sum(cut is None for _, cut in layouts)
    print(f"{name}: {len(layouts)} sizes, {refused} refused, {len(seen)} pictures")
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
        return case(kind, config, kinds[kind](**config), lambda a, w, h: a["pixel_values"].shape[-2:],
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
                 lambda a, w, h: a["image_grid_thw"][0],
                 pictures=PICTURES[:4] if i in (0, 3) else PICTURES) for i, config in enumerate(settings)]


def internvl():
    """The layout is the number of tiles, rows and columns."""
    settings = [{"size": {"height": 448, "width": 448}, "image_mean": [0.485, 0.456, 0.406],
                 "image_std": [0.229, 0.224, 0.225]},
                {"size": {"height": 32, "width": 32}},
                {"size": {"height": 32, "width": 48}, "min_patches": 3, "max_patches": 7, "resample": 2, **LOW},
                {"size": {"height": 32, "width": 32}, "max_patches": 1, "crop_to_patches": False},
                {"size": {"height": 32, "width": 32}, "min_patches": 6, "max_patches": 4},
                {"size": 40, "max_patches": 40}]
    cases = []
    for i, config in enumerate(settings):
        processor = GotOcr2ImageProcessor(**config)

        def layout(answer, width, height):
            count = int(answer["num_patches"][0])
            tile = (processor.size.height, processor.size.width)
            cols, rows = get_optimal_tiled_canvas((height, width), tile, processor.min_patches,
                                                  processor.max_patches)
            return [count, rows, cols] if count > 1 else [1, 0, 0]
        few = SIZES[::3] if i == 0 else SIZES
        cases.append(case("internvl", config, processor, layout, sizes=few,
                          pictures=PICTURES[:3] if i == 0 else PICTURES, **InternVLProcessor.images_kwargs))
    return cases


def gemma3():
    """The layout is the number of tiles, their height and width."""
    usual = {"size": {"height": 896, "width": 896}, "do_pan_and_scan": None, **HALF}
    small = {"size": {"height": 56, "width": 56}}
    tall = {"size": {"height": 70, "width": 40}, "resample": 3, **LOW}
    pictures = (*PICTURES, (1280, 720), (254, 1999))
    cases = []
    for name, config in (("whole", usual), ("whole", tall), ("pan_and_scan", small), ("pan_and_scan", tall)):
        options = dict(Gemma3Processor.images_kwargs, do_pan_and_scan=name == "pan_and_scan")
        cases.append(case(name, config, Gemma3ImageProcessor(**config),
                          lambda a, w, h: np.array(a["pixel_values"].shape)[[0, 2, 3]],
                          pictures=PICTURES[:3] if config is usual else pictures,
                          sizes=SIZES[::5] if config is usual else SIZES, **options))
    return cases


def anyres():
    """The layout is the number of tiles with the base, their height and width."""
    next_kind, onevision = LlavaNextImageProcessor, LlavaOnevisionImageProcessor
    square = [[s * r, s * c] for s in (32,) for r in range(1, 5) for c in range(1, 5)]
    settings = [
        ("llava_next", next_kind, {"size": {"shortest_edge": 336}, "crop_size": {"height": 336, "width": 336},
                                   "image_grid_pinpoints": [[336, 672], [672, 336], [672, 672], [1008, 336],
                                                            [336, 1008]]}),
        ("llava_next", next_kind, {}),
        ("llava_next", next_kind, {"size": 40, "crop_size": 40, "resample": 2,
                                   "image_grid_pinpoints": [[40, 80], [80, 40], [120, 80]], **LOW}),
        ("llava_next", next_kind, {"size": {"shortest_edge": 48}, "crop_size": 32,
                                   "image_grid_pinpoints": [[40, 80], [80, 40], [70, 33]]}),
        ("llava_onevision", onevision, HALF),
        ("llava_onevision", onevision, {"size": {"height": 32, "width": 32}, "image_grid_pinpoints": square}),
    ]

    def layout(answer, width, height):
        return np.array(answer["pixel_values"][0].shape)[[0, 2, 3]]
    few = {"sizes": SIZES[::4], "pictures": PICTURES[1:4]}
    cases = [case(name, config, kind(**config), layout, **(few if i in (0, 1, 4) else {}))
             for i, (name, kind, config) in enumerate(settings)]

    class Several:  # the same picture twice, so that it is not cut
        def __init__(self, **config):
            self.processor = onevision(**config)

        def __call__(self, picture, **options):
            answer = self.processor([[picture, picture]], **options)
            return {"pixel_values": answer["pixel_values"][:1]}
    cases += [case("several", config, Several(**config), layout, **options)
              for config, options in (({}, few), (settings[5][2], {}))]
    return cases


def anyres_tokens():
    """What the models' pack_image_features leaves of the encoder's patches: features are (tile, row,
    column), a newline is (-1, 0, 0). Per size: rows, columns, tokens, then the CRC-32 of the tokens' sources
    as int32, or the height and width of what has been shrunk."""
    cases = []
    for pixels, patch, tiles, most in ((336, 14, 0, 3), (35, 7, 0, 6), (384, 14, 9, 6), (32, 8, 2, 6)):
        side = pixels // patch
        points = [[pixels * r, pixels * c] for r in range(1, most + 1) for c in range(1, most + 1)]
        config = types.SimpleNamespace(
            image_grid_pinpoints=points,
            vision_config=types.SimpleNamespace(image_size=pixels, patch_size=patch))
        sizes = []
        for width, height in (*SIZES, *PICTURES):
            rows, cols = get_anyres_image_grid_shape((height, width), points, pixels)
            where = np.mgrid[0:rows * cols + 1, 0:side, 0:side].reshape(3, rows * cols + 1, side * side)
            features = torch.tensor(where, dtype=torch.float32).permute(1, 2, 0)
            newline = torch.tensor([-1.0, 0, 0])
            self = types.SimpleNamespace(config=config)
            (packed,), _ = LlavaNextModel.pack_image_features(self, [features], [(height, width)], "full",
                                                              newline)
            kept = packed.numpy()
            if tiles:
                (packed,), _ = LlavaOnevisionModel.pack_image_features(
                    self, [features], [(height, width)], newline, f"anyres_max_{tiles}")
            packed = packed.numpy()
            if packed.shape == kept.shape:
                found = [crc(packed.astype(np.int32))]
            else:
                lines = int((packed[side * side:, 0] == -1).sum())
                found = [lines, (len(packed) - side * side) // lines - 1]
            sizes.append([[width, height], [rows, cols, len(packed), *found]])
        cases.append({"tile": pixels, "side": side, "max_tiles": tiles, "pinpoints": points, "sizes": sizes})
        print(f"anyres_tokens: {len(sizes)} sizes, {sum(len(found) == 5 for _, found in sizes)} shrunk")
    return cases


def pixtral():
    """The layout is the height and width of the one tile. "token" is PixtralProcessor's patch_size times
    spatial_merge_size."""
    settings = [(16, {}), (28, {"size": {"longest_edge": 1540}, "patch_size": 14}),
                (14, {"size": {"longest_edge": 280}}),
                (12, {"size": {"height": 150, "width": 400}, "resample": 2, **LOW})]
    cases = []
    for token, config in settings:
        small = token in (12, 14)
        cases.append(case("pixtral", config, PixtralImageProcessor(**config),
                          lambda a, w, h: a["pixel_values"].shape[-2:], patch_size=token,
                          pictures=PICTURES if small else PICTURES[2:7]))
        cases[-1]["token"] = token
    return cases


def lfm2_vl():
    """The layout is spatial_shapes. Pixels are compared with their padding."""
    small = {"tile_size": 48, "encoder_patch_size": 8, "min_image_tokens": 4, "max_image_tokens": 9}
    settings = [{}, small,
                {**small, "use_thumbnail": False, "resample": 3, **LOW},
                {**small, "do_image_splitting": False},
                {**small, "min_tiles": 1, "max_tiles": 4, "max_pixels_tolerance": 1.3},
                {**small, "min_tiles": 1, "max_tiles": 1},
                {"tile_size": 90, "encoder_patch_size": 10, "downsample_factor": 3, "min_image_tokens": 2,
                 "max_image_tokens": 20, "max_tiles": 12, "size": {"height": 4, "width": 4}}]

    class Checked:  # refuses what has more patches than its own mask, of which no model can make sense
        def __init__(self, config):
            self.processor = Lfm2VlImageProcessor(**config)

        def __call__(self, picture, **options):
            answer = self.processor(picture, **options)
            if answer["pixel_values"].shape[1] != answer["pixel_attention_mask"].shape[1]:
                raise ValueError("too thin")
            assert (answer["pixel_attention_mask"].sum(1) == answer["spatial_shapes"].prod(1)).all()
            return answer

    def layout(answer, width, height):
        return answer["spatial_shapes"].flatten()
    return [case("lfm2_vl", config, Checked(config), layout,
                 **({"pictures": PICTURES[:5], "sizes": SIZES[::2]} if i == 0 else {}))
            for i, config in enumerate(settings)]


FAMILIES = (plain, qwen_vl, internvl, gemma3, anyres, anyres_tokens, pixtral, lfm2_vl)


def main():
    """All families, or those named; the others' values are kept."""
    warnings.simplefilter("ignore")
    logging.getLogger("transformers").setLevel(logging.ERROR)
    path = OUT / "processors.json"
    cases = json.loads(path.read_text()) if path.exists() else {}
    for make in FAMILIES:
        if make.__name__ in sys.argv[1:] or not sys.argv[1:]:
            cases[make.__name__] = make()
            write_json(path, cases)
    cases["made_with"] = {"torch": torch.__version__, "torchvision": torchvision.__version__,
                          "transformers": transformers.__version__}
    write_json(path, cases)
    print(path.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
