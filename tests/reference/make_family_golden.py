"""Makes the folders of the vision-language families in tests/golden/models.

    python tests/reference/make_family_golden.py [name ...]      # all, or some folders or families

Needs what make_golden.py needs, and its pictures.
"""

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


if __name__ == "__main__":
    base.make_folders(FAMILIES, base.make)
