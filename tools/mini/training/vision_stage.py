"""First stage: the vision tower alone, taught what lies under each patch and what photos show."""

import torch
from torch import nn

from ..network.config import MiniConfig
from ..network.patch_heads import PatchHeads
from ..network.vision import VisionModel
from ..pictures.mixture import TO_LABEL, validation_pictures
from ..pictures.photos import Photos
from .batches import BatchShape, Steps, normalise, patch_labels_of, pixels_of, stream
from .patch_loss import patch_accuracy, patch_loss

KEPT_OF_PHOTO = 32  # patches of each photograph that are encoded in training
ENDLESS = 10_000_000
HEADS_ALONE = 200  # steps in which new heads catch up with a trained tower


class VisionTeacher(nn.Module):
    """The tower with its training heads."""

    def __init__(self, config: MiniConfig):
        super().__init__()
        self.vision_model = VisionModel(config.vision)
        self.heads = PatchHeads(config.vision.hidden_size)


def collate(samples, rng):
    """Pixels and labels of a batch."""
    return pixels_of(samples), patch_labels_of(samples)


class VisionStage:
    """What the loop needs to know of this stage."""

    name = "vision"
    heads_alone = 0  # steps left in which only the heads learn

    @staticmethod
    def rate_of(_parameter: str) -> float:
        """Every parameter learns at the full rate."""
        return 1.0

    def __init__(self, photos: Photos, shape: BatchShape, seed: int, workers: int, device: str):
        self.model = VisionTeacher(MiniConfig()).to(device)
        self.steps, self.workers, self.shape, self.device = (
            Steps(photos, shape, seed, TO_LABEL, collate),
            workers,
            shape,
            device,
        )
        self.held_out = [
            validation_pictures(photos, kind, 500) for kind in ("photo", "scene", "text", "chart")
        ]

    def batches(self, first: int):
        """The batches from step `first` on."""
        return stream(self.steps, first, ENDLESS, self.workers)

    def loss(self, batch):
        """Photographs are encoded in part, drawn pictures whole."""
        pixels, labels = batch
        pixels = normalise(pixels.to(self.device))
        labels = {kind: values.to(self.device) for kind, values in labels.items()}
        count = self.shape.photos
        kept = torch.rand(count, 64, device=self.device).argsort(dim=1)[:, :KEPT_OF_PHOTO]
        with torch.autocast(self.device, torch.bfloat16):
            with torch.set_grad_enabled(self.heads_alone == 0):
                photos = self.model.vision_model(pixels[:count], kept)
                drawn = self.model.vision_model(pixels[count:])
            self.heads_alone = max(self.heads_alone - 1, 0)
            logits = self.model.heads(drawn)
            logits["photo"] = self.model.heads.photo(photos.mean(dim=1))
        labels = {
            kind: values[:count] if kind == "photo" else values[count:]
            for kind, values in labels.items()
        }
        return patch_loss(logits, labels, smoothing=0.05)

    def validate(self):
        """Accuracy by kind of label, each on the kind of picture that asks for it."""
        figures = {}
        for samples in self.held_out:
            with torch.autocast(self.device, torch.bfloat16):
                features = self.model.vision_model(normalise(pixels_of(samples).to(self.device)))
                logits = self.model.heads(features)
            labels = {
                kind: values.to(self.device) for kind, values in patch_labels_of(samples).items()
            }
            for kind, figure in patch_accuracy(logits, labels).items():
                figures[f"{samples[0].kind} {kind}"] = figure
        return figures
