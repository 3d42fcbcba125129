"""Everything a run needs to go on after a stop: weights, averages, optimisers, step, randomness."""

import os
from pathlib import Path

import torch
from torch import nn


class Averages:
    """An exponential moving average of the weights, used for validation and export."""

    def __init__(self, model: nn.Module, decay: float):
        self.decay = decay
        self.live = list(model.parameters())
        self.mean = [parameter.detach().clone() for parameter in self.live]
        self.updates = 0

    @torch.no_grad()
    def update(self, most: float = 1.0) -> None:
        """Moves the averages towards the weights, faster in the first updates. `most`: the decay at
        most, lower where weights have all but settled and a long average would lag behind."""
        self.updates += 1
        decay = min(self.decay, most, (1 + self.updates) / (10 + self.updates))
        torch._foreach_lerp_(self.mean, [parameter.detach() for parameter in self.live], 1 - decay)

    def swap(self) -> None:
        """Exchanges weights and averages in place; a second call undoes the first."""
        for parameter, mean in zip(self.live, self.mean):
            parameter.data, mean.data = mean.data, parameter.data


def save(path: Path, **parts) -> None:
    """Writes a checkpoint so that a crash while writing leaves the former one whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".part")
    torch.save(parts, beside)
    os.replace(beside, path)


def run_state(model: nn.Module, averages: Averages, optimisers, step: int) -> dict:
    """The parts of a resumable checkpoint."""
    return {
        "model": model.state_dict(),
        "averages": averages.mean,
        "updates": averages.updates,
        "optimisers": [optimiser.state_dict() for optimiser in optimisers],
        "step": step,
        "random": torch.get_rng_state(),
    }


def restore(path: Path, model: nn.Module, averages: Averages, optimisers) -> int:
    """Puts a checkpoint back in place and returns the step to go on from."""
    parts = torch.load(path, weights_only=True, map_location="cpu")
    model.load_state_dict(parts["model"])
    for mean, saved in zip(averages.mean, parts["averages"], strict=True):
        mean.copy_(saved)
    averages.updates = parts["updates"]
    for optimiser, saved in zip(optimisers, parts["optimisers"], strict=True):
        optimiser.load_state_dict(saved)
    torch.set_rng_state(parts["random"])
    return parts["step"]
