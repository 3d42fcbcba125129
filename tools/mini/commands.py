"""What each command of the command line does."""

import torch
from tokenizers import Tokenizer

from .assets import draw_assets
from .evaluation.evaluate import evaluate as measure
from .evaluation.wild import show_wild
from .export import export as write_folder
from .export import load_weights
from .golden import write_golden
from .network.mini import Mini
from .pictures.photos import Photos
from .tokenizer import train_tokenizer
from .training.batches import BatchShape
from .training.joint_stage import JointModel, JointStage, names_of_labels
from .training.loop import LoopOptions, train
from .training.vision_stage import HEADS_ALONE, VisionStage
from .verify import verify as compare
from .verify import verify_answers, verify_geometry


def tokenizer(arguments) -> None:
    """Builds the tokenizer."""
    print(f"{train_tokenizer(arguments.model).get_vocab_size()} tokens")


def vision(arguments) -> None:
    """Trains the first stage: resumed, else from exported weights, else from nothing."""
    _prepare(arguments)
    stage = VisionStage(
        Photos(arguments.data),
        BatchShape(arguments.photos, arguments.drawn),
        arguments.seed,
        arguments.workers,
        arguments.device,
    )
    if arguments.init_from:
        exported = Mini()
        load_weights(exported, arguments.init_from)
        stage.model.vision_model.load_state_dict(exported.model.vision_model.state_dict())
        stage.heads_alone = HEADS_ALONE
    train(stage, _options(arguments, "vision"))


def joint(arguments) -> None:
    """Trains the second stage: resumed, else from exported weights and what the first stage left."""
    _prepare(arguments)
    stage = JointStage(
        Photos(arguments.data),
        BatchShape(arguments.photos, arguments.drawn, arguments.labelled),
        arguments.seed,
        arguments.workers,
        arguments.device,
        Tokenizer.from_file(str(arguments.model / "tokenizer.json")),
    )
    if arguments.init_from:
        load_weights(stage.model.mini, arguments.init_from)
    first_stage = arguments.work / "vision" / "averaged.pt"
    if first_stage.exists():
        stage.start_from_vision(first_stage)
    elif arguments.init_from:
        stage.heads_alone = HEADS_ALONE
    train(stage, _options(arguments, "joint"))


def export(arguments) -> None:
    """Writes the folder from a checkpoint of the second stage."""
    tokenizer = Tokenizer.from_file(str(arguments.model / "tokenizer.json"))
    model = JointModel(names_of_labels(tokenizer))
    parts = torch.load(arguments.checkpoint, weights_only=True, map_location="cpu")
    model.load_state_dict(parts["model"])
    if "averages" in parts:
        for parameter, mean in zip(model.parameters(), parts["averages"], strict=True):
            parameter.data.copy_(mean)
    write_folder(model.mini, arguments.model)


def verify(arguments) -> None:
    """Compares the folder with transformers, and Chiasm with both."""
    verify_geometry(arguments.model)
    compare(arguments.model)
    if arguments.write_golden:
        write_golden(arguments.model)
    verify_answers(arguments.model, arguments.data, arguments.pictures)


def evaluate(arguments) -> None:
    """Measures the folder."""
    measure(
        arguments.model,
        arguments.data,
        arguments.backend,
        arguments.dtype,
        arguments.pictures,
        arguments.output,
    )


def wild(arguments) -> None:
    """Captions photographs that have nothing to do with the training set."""
    show_wild(arguments.model, arguments.root)


def assets(arguments) -> None:
    """Draws the pictures of the demonstration."""
    draw_assets(arguments.folder)


def _prepare(arguments) -> None:
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)


def _options(arguments, stage: str) -> LoopOptions:
    folder = arguments.work / stage
    folder.mkdir(parents=True, exist_ok=True)
    return LoopOptions(
        folder,
        arguments.minutes,
        arguments.cooldown,
        arguments.pause or arguments.work / "PAUSE",
        arguments.matrix_lr,
        arguments.other_lr,
    )
