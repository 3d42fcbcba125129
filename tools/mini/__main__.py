"""Command line: python -m tools.mini COMMAND. See README.md for the recipe."""

import argparse
from pathlib import Path

MODEL = Path("models/chiasm-mini")


def main() -> None:
    """Parses the command line and runs one command."""
    parser = argparse.ArgumentParser(prog="python -m tools.mini", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    tokenizer = commands.add_parser(
        "tokenizer", help="build the tokenizer (once: weights depend on it)"
    )
    vision = commands.add_parser(
        "vision", help="first stage: the vision tower on labels of patches"
    )
    joint = commands.add_parser("joint", help="second stage: the whole model on questions")
    export = commands.add_parser(
        "export", help="write the averaged weights as a Hugging Face folder"
    )
    check = commands.add_parser("verify", help="compare the exported folder with transformers")
    measure = commands.add_parser("evaluate", help="measure the exported folder")
    wild = commands.add_parser("wild", help="caption photographs of Debian packages")
    wild.add_argument("--root", type=Path, default=Path("/"), help="where they are unpacked")
    assets = commands.add_parser("assets", help="draw the pictures of the demonstration")
    assets.add_argument("--folder", type=Path, default=Path("docs/assets"))
    for command in (tokenizer, joint, export, check, measure, wild):
        command.add_argument("--model", type=Path, default=MODEL, help="the Hugging Face folder")
    _add_training_options(vision, photos=48, drawn=96)
    _add_training_options(joint, photos=12, drawn=40)
    for command in (vision, joint):
        command.add_argument("--init-from", type=Path, help="start from the weights of a folder")
    joint.add_argument(
        "--labelled", type=int, default=24, help="more drawn pictures, whose patches alone are asked"
    )
    export.add_argument(
        "--checkpoint", type=Path, required=True, help="averaged.pt or last.pt of the second stage"
    )
    measure.add_argument("--data", type=Path, required=True, help="cifar10-train.tar.xz")
    measure.add_argument("--backend", choices=("transformers", "chiasm"), default="chiasm")
    measure.add_argument(
        "--dtype",
        nargs="+",
        default=["float32", "bfloat16", "int8", "int4"],
        help="precisions, a column of the table each (transformers has no int8 and int4)",
    )
    measure.add_argument(
        "--pictures", type=int, default=500, help="photographs and scenes; fewer of the other kinds"
    )
    check.add_argument(
        "--data", type=Path, help="cifar10-train.tar.xz: photographs are asked about too"
    )
    check.add_argument("--pictures", type=int, default=200, help="whose answers are compared")
    check.add_argument(
        "--write-golden", action="store_true", help="renew tests/golden/mini from these weights"
    )
    measure.add_argument("--output", type=Path, help="a JSON file for the figures")
    arguments = parser.parse_args()
    from . import commands as run

    getattr(run, arguments.command)(arguments)


def _add_training_options(parser: argparse.ArgumentParser, photos: int, drawn: int) -> None:
    parser.add_argument("--data", type=Path, required=True, help="cifar10-train.tar.xz")
    parser.add_argument("--work", type=Path, required=True, help="folder for checkpoints")
    parser.add_argument(
        "--minutes", type=float, required=True, help="wall-clock time of this sitting"
    )
    parser.add_argument(
        "--cooldown", type=float, default=0, help="the last minutes, with a falling rate"
    )
    parser.add_argument(
        "--pause", type=Path, help="training waits while this file exists; default WORK/PAUSE"
    )
    parser.add_argument("--photos", type=int, default=photos, help="photographs in a batch")
    parser.add_argument("--drawn", type=int, default=drawn, help="drawn pictures in a batch")
    parser.add_argument(
        "--matrix-lr", type=float, default=0.02, help="rate of the matrices inside blocks (Muon)"
    )
    parser.add_argument(
        "--other-lr", type=float, default=1e-3, help="rate of everything else (AdamW)"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=1, help="processes that make batches")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")


if __name__ == "__main__":
    main()
