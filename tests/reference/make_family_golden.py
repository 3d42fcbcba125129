"""Makes the folders of the vision-language families in tests/golden/models.

    python tests/reference/make_family_golden.py [name ...]      # all, or some folders or families

Needs what make_golden.py needs, and its pictures.
"""

import importlib
import sys

import torch
import transformers
from families import base

FAMILIES = [
    "llava",
    "qwen2_5_vl",
    "qwen2_vl",
    "internvl",
    "gemma3",
    "qwen3_vl",
    "llava_next",
    "llava_onevision",
    "paligemma",
    "mistral3",
    "lfm2_vl",
]


def main():
    torch.set_num_threads(2)
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    for family in FAMILIES:
        for folder in importlib.import_module(f"families.{family}").FOLDERS:
            if not sys.argv[1:] or family in sys.argv[1:] or folder.name in sys.argv[1:]:
                base.make(folder)


if __name__ == "__main__":
    main()
