"""Batches as tensors, made in a worker process while the network trains."""

from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ..pictures.mixture import TO_LABEL, drawn_picture, training_photo
from ..pictures.photos import Photos
from ..pictures.sample import PatchLabels, Sample


@dataclass(frozen=True)
class BatchShape:
    """How many pictures of each sort a step sees."""

    photos: int
    drawn: int
    labelled: int = 0  # drawn pictures of which only the patches are asked


def pixels_of(samples: list[Sample]) -> Tensor:
    """uint8 [batch, 3, 128, 128]."""
    return (
        torch.from_numpy(np.stack([sample.image for sample in samples]))
        .permute(0, 3, 1, 2)
        .contiguous()
    )


def normalise(pixels: Tensor) -> Tensor:
    """uint8 0..255 -> float32 -1..1, as the processor does with mean and deviation 0.5."""
    return pixels.float() / 127.5 - 1


def patch_labels_of(samples: list[Sample]) -> dict[str, Tensor]:
    """int64 labels by kind: [batch, 64], characters [batch, 64, 3], photo [batch]."""
    kinds = [field.name for field in fields(PatchLabels)]
    labels = {
        kind: torch.from_numpy(np.stack([getattr(s.patches, kind) for s in samples]))
        for kind in kinds
    }
    return labels | {"photo": torch.tensor([sample.photo_class for sample in samples])}


class Steps(Dataset):
    """Item n is the batch of step n: photographs, drawn pictures, labelled ones, through `collate`."""

    def __init__(self, photos: Photos, shape: BatchShape, seed: int, shares: dict, collate):
        self.photos, self.shape, self.seed, self.shares, self.collate = (
            photos,
            shape,
            seed,
            shares,
            collate,
        )

    def __getitem__(self, step: int):
        photo, drawn = self.shape.photos, self.shape.drawn
        samples = [training_photo(self.photos, self.seed, step * photo + i) for i in range(photo)]
        samples += [drawn_picture(self.seed, step * drawn + i, self.shares) for i in range(drawn)]
        more = self.shape.labelled
        samples += [drawn_picture(self.seed + 1, step * more + i, TO_LABEL) for i in range(more)]
        return self.collate(samples, np.random.default_rng((self.seed, 3, step)))


def stream(steps: Steps, first: int, last: int, workers: int) -> DataLoader:
    """The batches of steps `first` to `last` - 1, in order."""
    return DataLoader(
        steps,
        batch_size=None,
        sampler=range(first, last),
        num_workers=workers,
        prefetch_factor=6 if workers else None,
    )
