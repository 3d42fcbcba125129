"""The picture geometry that the saved processor applies: longest edge to 128, then a 128 square."""

import numpy as np
import torch
from torchvision.transforms.v2 import functional as tvF

SIDE = 128  # pixels on a side, as the vision tower sees it
PATCH = 16  # pixels on a side of one patch
GRID = SIDE // PATCH  # patches on a side


def squash(picture: np.ndarray) -> np.ndarray:
    """uint8 [height, width, 3] -> uint8 [128, 128, 3], the same pixels that the processor gives."""
    height, width = picture.shape[:2]
    if (height, width) == (SIDE, SIDE):
        return picture
    pixels = torch.from_numpy(picture.copy()).permute(2, 0, 1)
    pixels = _resize(pixels, _longest_edge(height, width))
    return _resize(pixels, (SIDE, SIDE)).permute(1, 2, 0).contiguous().numpy()


def _longest_edge(height: int, width: int) -> tuple[int, int]:
    """Height and width after the first resize: the longer side 128, the other made even."""
    if width >= height:
        short = int(SIDE / (width / height))
        return max(short + short % 2, 1), SIDE
    short = int(SIDE * (width / height))
    return SIDE, max(short + short % 2, 1)


def _resize(pixels: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    if tuple(pixels.shape[-2:]) == size:
        return pixels
    return tvF.resize(
        pixels, list(size), interpolation=tvF.InterpolationMode.BICUBIC, antialias=True
    )
