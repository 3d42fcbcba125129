"""Makes tests/golden/vision/videos.json: which frames transformers' video processors take, and what they
make of them.

    python tests/reference/make_video_processor_golden.py

Frames come from `formula`: those of a video of n are the n parts, from top to bottom, of a picture n times
as high. `null` stands for a refusal of the reference.
"""
import itertools
import logging
import warnings

import numpy as np
import torch
import torchvision
import transformers
from transformers.image_processing_backends import TorchvisionBackend
from transformers.models.internvl.video_processing_internvl import InternVLVideoProcessor
from transformers.models.llava_onevision.video_processing_llava_onevision import LlavaOnevisionVideoProcessor
from transformers.models.qwen2_vl.video_processing_qwen2_vl import Qwen2VLVideoProcessor
from transformers.models.qwen3_vl.processing_qwen3_vl import Qwen3VLProcessor
from transformers.models.qwen3_vl.video_processing_qwen3_vl import Qwen3VLVideoProcessor
from transformers.models.smolvlm.video_processing_smolvlm import SmolVLMVideoProcessor
from transformers.video_utils import VideoMetadata

from make_vision_golden import HALF, OUT, crc, formula, samples, write_json

WAYS = {"uniform": LlavaOnevisionVideoProcessor, "internvl": InternVLVideoProcessor,
        "qwen2_vl": Qwen2VLVideoProcessor, "qwen3_vl": Qwen3VLVideoProcessor, "smolvlm": SmolVLMVideoProcessor}
FAILURES = (ValueError, TypeError, ZeroDivisionError, IndexError, RuntimeError)
SIZES = ((64, 48), (640, 360), (1280, 720), (360, 640), (100, 900), (1, 1), (23, 17), (1, 300), (250, 1))
LOW = {"image_mean": [0.3, 0.5, 0.7], "image_std": [0.9, 0.4, 0.6]}


def sampling():
    """[total, fps, seconds, frames wanted, fps wanted], then the number and CRC-32 (int32) of the frames.

    Where torch.arange rounds its way to one frame past the end, over which the reference stumbles, that frame
    is left out.
    """
    cases = []
    for way, kind in WAYS.items():
        processor, rows, past = kind(), [], 0
        totals = (1, 2, 3, 7, 10, 48, 100, 299, 300, 301, 1000, 4321)
        for total, fps, wanted in itertools.product(totals, (24, 29.97, 10), (4, 5, 8, 64, 0)):
            for rate in ((1, 2, 0.5, 3.3) if way == "smolvlm" or wanted == 0 else (0,)):
                if way == "smolvlm" and wanted == 0:
                    continue
                seconds = total / fps
                options = {"num_frames": wanted or None, "fps": rate or None}
                if way == "qwen3_vl" and wanted:  # its class has a rate that no number may join
                    processor.fps = None
                elif way == "qwen3_vl":
                    processor.fps = 2
                try:
                    metadata = VideoMetadata(total_num_frames=total, fps=fps, duration=seconds)
                    taken = np.array(processor.sample_frames(metadata, **options))
                    past += int((taken >= total).sum())
                    taken = taken[taken < total]
                    found = [len(taken), crc(taken.astype(np.int32))] if len(taken) else None
                except FAILURES:
                    found = None
                rows.append([[total, fps, seconds, wanted, rate], found])
        cases.append({"way": way, "rows": rows})
        print(f"{way}: {len(rows)} rules, {sum(found is None for _, found in rows)} refused, "
              f"{past} frames past the end left out")
    return cases


def video(width, height, frames):
    whole = torch.from_numpy(formula(width, height * frames)).permute(2, 0, 1)
    return torch.stack([whole[:, i * height:(i + 1) * height] for i in range(frames)]).contiguous()


def size_of(processor, width, height, frames):
    """The size of the frames, without resizing any."""
    asked = []

    def remember(self, image, size, **options):
        asked.append([size.height, size.width])
        return image
    resize, TorchvisionBackend.resize = TorchvisionBackend.resize, remember
    try:
        processor.resize(torch.zeros(1, frames, 1, height, width, dtype=torch.uint8), size=processor.size,
                         resample=processor.resample, factor=processor.patch_size * processor.merge_size,
                         temporal_factor=processor.temporal_patch_size,
                         cap_pixels_per_frame=processor.cap_pixels_per_frame)
    except FAILURES:
        return None
    finally:
        TorchvisionBackend.resize = resize
    return asked[0]


def pixels(processor, name, sizes):
    seen = []
    for width, height, frames in sizes:
        answer = processor(video(width, height, frames), do_sample_frames=False, return_tensors="pt",
                           input_data_format="channels_first")
        values = np.ascontiguousarray(answer[name].numpy().astype(np.float32))
        seen.append({"size": [width, height, frames], "shape": list(values.shape), "crc": crc(values),
                     "samples": samples(values, 3)})
    return seen


def qwen():
    """The layout is the size of the frames."""
    settings = [("qwen2_vl", {}), ("qwen2_vl", {"cap_pixels_per_frame": True, "max_video_tokens": 900}),
                ("qwen2_vl", {"min_pixels": 784, "max_pixels": 30000, "patch_size": 7, **LOW}),
                ("qwen3_vl", {}), ("qwen3_vl", {"cap_pixels_per_frame": True, "max_video_tokens": 30}),
                ("qwen3_vl", {"size": {"shortest_edge": 4096, "longest_edge": 90000}, "patch_size": 8,
                              "temporal_patch_size": 3, "resample": 2, **HALF})]
    cases = []
    for name, config in settings:
        processor = WAYS[name](**config)
        layouts = [[[*size, frames], size_of(processor, *size, frames)]
                   for size in SIZES for frames in (1, 2, 3, 4, 9, 64)]
        small = "size" in config or "min_pixels" in config
        cases.append({"name": name, "config": config, "layouts": layouts,
                      "videos": pixels(processor, "pixel_values_videos",
                                       ((64, 48, 3), (50, 90, 5), (23, 17, 4)) if small else ((64, 48, 3),))})
        print(f"{name}: {len(layouts)} sizes, {sum(found is None for _, found in layouts)} refused")
    return cases


def single():
    """Processors that prepare each frame as a picture."""
    sizes = ((64, 48, 2), (50, 90, 3), (23, 17, 1))
    cases = []
    for name, config in (("smolvlm", {"size": {"longest_edge": 100}, "max_image_size": {"longest_edge": 48}}),
                         ("smolvlm", {}), ("onevision", {"size": {"height": 40, "width": 40}}),
                         ("onevision", {}), ("internvl", {"size": {"height": 40, "width": 30}, **LOW})):
        kind = WAYS[{"onevision": "uniform"}.get(name, name)]
        key = "pixel_values" if name == "smolvlm" else "pixel_values_videos"
        cases.append({"name": name, "config": config, "videos": pixels(kind(**config), key,
                                                                        sizes if "size" in config else sizes[:1])})
    return cases


def seconds():
    """Qwen3VLProcessor's times: [frames], fps, frames together, times."""
    cases = []
    for frames, fps, together in (([0, 12, 24, 36], 24.0, 2), ([0, 7, 15], 29.97, 2), ([3], 10.0, 3)):
        times = Qwen3VLProcessor._calculate_timestamps(None, list(frames), fps, together)
        cases.append({"frames": frames, "fps": fps, "together": together, "times": times})
    return cases


def main():
    warnings.simplefilter("ignore")
    logging.getLogger("transformers").setLevel(logging.ERROR)
    path = OUT / "videos.json"
    write_json(path, {
        "made_with": {"torch": torch.__version__, "torchvision": torchvision.__version__,
                      "transformers": transformers.__version__},
        "sampling": sampling(), "qwen": qwen(), "single": single(), "seconds": seconds()})
    print(path.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
