"""Makes the folders of the audio language models in tests/golden/models.

    python tests/reference/make_sound_golden.py [name ...]      # all, or some folders or families

Needs what make_golden.py needs, soundfile, and the sounds of make_audio_golden.py.
"""

import importlib
import sys

import torch
import transformers
from families import sounds

FAMILIES = ["qwen2_audio", "voxtral", "ultravox"]


def main():
    torch.set_num_threads(2)
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    for family in FAMILIES:
        for folder in importlib.import_module(f"families.{family}").FOLDERS:
            if not sys.argv[1:] or family in sys.argv[1:] or folder.name in sys.argv[1:]:
                sounds.make(folder)


if __name__ == "__main__":
    main()
