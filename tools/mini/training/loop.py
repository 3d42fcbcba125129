"""The training loop: warm up, hold the rate, cool down; checkpoints, pauses, a progress bar.

The rate is constant until the cool-down, so a later sitting goes on from the last checkpoint of the
constant part as if there had been no stop (Hu et al., 2024, arXiv:2404.06395).
"""

import json
import signal
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from tqdm import tqdm

from .muon import make_optimisers
from .state import Averages, restore, run_state, save


COOLED = 0.99  # the averages' decay at most while the rate falls


@dataclass(frozen=True)
class LoopOptions:
    """Lengths are minutes of wall-clock time: the machine may be shared."""

    folder: Path  # checkpoints and history
    minutes: float
    cooldown: float  # the last minutes, in which the rate falls to zero
    pause: Path  # training waits while this file exists
    matrix_lr: float = 0.02
    other_lr: float = 1e-3
    weight_decay: float = 0.02
    warmup: int = 60  # steps
    average: float = 0.999
    save_every: float = 5.0  # minutes
    validate_every: float = 10.0  # minutes


def train(stage, options: LoopOptions) -> None:
    """Trains `stage` (see `VisionStage`, `JointStage`), resuming where options.folder left off."""
    model = stage.model
    averages = Averages(model, options.average)
    optimisers = make_optimisers(
        model, options.matrix_lr, options.other_lr, options.weight_decay, stage.rate_of
    )
    base = [[group["lr"] for group in optimiser.param_groups] for optimiser in optimisers]
    last = options.folder / "last.pt"
    step = restore(last, model, averages, optimisers) if last.exists() else 0
    start = saved = validated = time.monotonic()
    end, cool = start + 60 * options.minutes, 60 * options.cooldown
    bar = tqdm(desc=stage.name, unit="step", initial=step, mininterval=5, dynamic_ncols=True)
    cooling, running = False, {}
    stop = _asked_to_stop()
    for batch in stage.batches(step):
        pause(options.pause)
        now = time.monotonic()
        if now >= end or stop.is_set():
            break
        if not cooling and now >= end - cool:
            cooling = True
            save(last, **run_state(model, averages, optimisers, step))
        factor = min(1.0, (step + 1) / options.warmup) * min(1.0, (end - now) / max(cool, 1e-9))
        for optimiser, rates in zip(optimisers, base):
            for group, rate in zip(optimiser.param_groups, rates):
                group["lr"] = rate * factor
        figures = train_step(stage, batch, optimisers)
        averages.update(COOLED if cooling else 1.0)
        step += 1
        for name, figure in figures.items():
            running[name] = running.get(name, figure) * 0.98 + figure * 0.02
        bar.update()
        bar.set_postfix({name: f"{figure:.3f}" for name, figure in running.items()}, refresh=False)
        if not cooling and now - saved > 60 * options.save_every:
            save(last, **run_state(model, averages, optimisers, step))
            saved = time.monotonic()
        if now - validated > 60 * options.validate_every:
            validate(stage, averages, options.folder, step, running)
            validated = time.monotonic()
    bar.close()
    if not cooling:
        save(last, **run_state(model, averages, optimisers, step))
    validate(stage, averages, options.folder, step, running)
    averages.swap()
    save(options.folder / "averaged.pt", model=model.state_dict(), step=step)


def _asked_to_stop() -> threading.Event:
    """An event that SIGTERM or Ctrl-C sets, so that a stopped run ends after its step and saves."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop


def train_step(stage, batch, optimisers) -> dict[str, float]:
    """One update; returns the parts of the loss."""
    stage.model.train()
    loss, parts = stage.loss(batch)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(stage.model.parameters(), 5.0)
    for optimiser in optimisers:
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
    return {name: part.item() for name, part in parts.items()}


def validate(stage, averages: Averages, folder: Path, step: int, running: dict[str, float]) -> None:
    """Measures the averaged weights on pictures kept from training and appends to history.jsonl."""
    averages.swap()
    stage.model.eval()
    with torch.no_grad():
        figures = stage.validate()
    averages.swap()
    record = {
        "step": step,
        "time": round(time.time()),
        "validation": _rounded(figures),
        "losses": _rounded(running),
    }
    with open(folder / "history.jsonl", "a", encoding="utf-8") as history:
        history.write(json.dumps(record) + "\n")
    tqdm.write(json.dumps(record))


def _rounded(figures: dict[str, float]) -> dict[str, float]:
    return {name: round(figure, 4) for name, figure in figures.items()}


def pause(file: Path) -> None:
    """Waits while `file` exists, so that others can take timings on the same machine."""
    while file.exists():
        time.sleep(1)
