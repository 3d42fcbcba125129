"""Photographs: the training pictures of CIFAR-10, enlarged, cropped and varied."""

import io
import tarfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from .geometry import SIDE, squash
from .sample import Sample

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
HELD_OUT = 500  # the last photos of each class are never trained on
_FILTERS = (
    Image.Resampling.BICUBIC,
    Image.Resampling.BILINEAR,
    Image.Resampling.LANCZOS,
    Image.Resampling.NEAREST,
)
_FILTER_SHARES = (0.66, 0.14, 0.14, 0.06)


class Photos:
    """The 50,000 small photographs in memory, split into training and validation."""

    def __init__(self, archive: Path):
        pictures: dict[str, list[tuple[str, np.ndarray]]] = {name: [] for name in CLASSES}
        with tarfile.open(archive) as files:
            for member in files:
                if member.name.endswith(".jpg"):
                    picture = Image.open(io.BytesIO(files.extractfile(member).read())).convert(
                        "RGB"
                    )
                    pictures[Path(member.name).parent.name].append(
                        (member.name, np.asarray(picture))
                    )
        train, held_out = [], []
        for label, name in enumerate(CLASSES):
            ordered = [
                (picture, label)
                for _, picture in sorted(pictures[name], key=lambda entry: entry[0])
            ]
            train += ordered[:-HELD_OUT]
            held_out += ordered[-HELD_OUT:]
        self.train, self.held_out = train, held_out


def plain_photo(picture: np.ndarray, label: int) -> Sample:
    """A photograph as the processor sees it. facts: `name` of the class."""
    return Sample("photo", squash(picture), {"name": CLASSES[label]}, photo_class=label)


def varied_photo(rng: np.random.Generator, picture: np.ndarray, label: int) -> Sample:
    """A photograph cropped, flipped, recoloured, partly covered, enlarged in several ways."""
    photo = Image.fromarray(picture)
    side = photo.width
    area = rng.uniform(0.45, 1.0) if rng.random() < 0.85 else 1.0
    stretch = np.exp(rng.uniform(-0.2, 0.2))
    width, height = (min(side * np.sqrt(area) * ratio, side) for ratio in (stretch, 1 / stretch))
    left, top = rng.uniform(0, side - width), rng.uniform(0, side - height)
    box = (left, top, left + width, top + height)
    if rng.random() < 0.2:  # a detour through another size changes how soft the edges are
        photo = photo.resize((64, 64), _FILTERS[rng.integers(3)], box)
        box = None
    photo = photo.resize((SIDE, SIDE), _FILTERS[rng.choice(4, p=_FILTER_SHARES)], box)
    if rng.random() < 0.5:
        photo = photo.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if rng.random() < 0.1:
        photo = photo.filter(ImageFilter.GaussianBlur(rng.uniform(0.5, 2)))
    elif rng.random() < 0.15:
        photo = photo.filter(
            ImageFilter.UnsharpMask(rng.uniform(1, 4), int(rng.uniform(50, 200)), 0)
        )
    return Sample(
        "photo", _recolour(rng, np.asarray(photo)), {"name": CLASSES[label]}, photo_class=label
    )


def _recolour(rng: np.random.Generator, picture: np.ndarray) -> np.ndarray:
    if rng.random() < 0.7:
        pixels = picture.astype(np.float32)
        gain = rng.uniform(0.75, 1.25) * rng.uniform(0.93, 1.07, 3)
        grey = pixels.mean(axis=2, keepdims=True)
        keep = rng.uniform(0.5, 1.3) if rng.random() < 0.5 else 1.0
        middle = grey.mean()
        pixels = ((grey + (pixels - grey) * keep) - middle) * gain + middle + rng.uniform(-20, 20)
        picture = np.clip(pixels, 0, 255).astype(np.uint8)
    else:
        picture = picture.copy()
    if rng.random() < 0.15:  # grain: enlarged photographs are smoother than those of a camera
        noise = rng.normal(0, rng.uniform(2, 12), (SIDE, SIDE, 1))
        picture = np.clip(picture + noise, 0, 255).astype(np.uint8)
    if rng.random() < 0.3:
        x, y = rng.integers(0, SIDE, 2)
        half = rng.integers(12, 32)
        picture[max(y - half, 0) : y + half, max(x - half, 0) : x + half] = rng.integers(0, 256, 3)
    return picture
