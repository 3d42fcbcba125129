"""Makes the folders of the audio language models in tests/golden/models.

    python tests/reference/make_sound_golden.py [name ...]      # all, or some folders or families

Needs what make_golden.py needs, soundfile, and the sounds of make_audio_golden.py.
"""

from families import base, sounds

FAMILIES = ["qwen2_audio", "voxtral", "ultravox"]


if __name__ == "__main__":
    base.make_folders(FAMILIES, sounds.make)
