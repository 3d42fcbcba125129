"""Whisper against values of transformers (tests/reference/make_whisper_golden.py), and what is done
with sounds and transcripts around it."""

import json
import pathlib
import struct
import subprocess
import sys

import numpy as np
import pytest
from spoken import as_wav, sound

import chiasm
from chiasm import MediaError, RequestError

TINY = pathlib.Path(__file__).parents[1] / "golden" / "whisper" / "tiny"
GOLDEN = json.loads((TINY / "golden.json").read_text(encoding="utf-8"))
RATE = 16000


def arrays():
    """golden.safetensors, read by hand."""
    data = (TINY / "golden.safetensors").read_bytes()
    (size,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8 : 8 + size])
    return {
        name: np.frombuffer(
            data[8 + size + t["data_offsets"][0] : 8 + size + t["data_offsets"][1]], np.float32
        ).reshape(t["shape"])
        for name, t in header.items()
        if name != "__metadata__"
    }


def error(ours, theirs):
    """Relative L2."""
    return np.linalg.norm(ours - theirs) / np.linalg.norm(theirs)


@pytest.fixture(scope="module")
def whisper():
    return chiasm.load(TINY, dtype="float32")


def test_features_encoder_and_logits(whisper):
    theirs, short = arrays(), sound(1.0, 1)
    mel = whisper.preprocess_audio(short, RATE)["input_features"]
    # The reference transforms in float32: bins far under the loudest carry its rounding.
    np.testing.assert_allclose(mel, theirs["input_features"], atol=1e-4)
    assert error(whisper.encode_audio(short, RATE), theirs["encoder"]) < 1e-4
    assert error(whisper.logits(GOLDEN["ids"], audio=[(short, RATE)]), theirs["logits"]) < 1e-4


def test_bfloat16():
    # Weights are the same; keys, values and products of attention are narrowed.
    model = chiasm.load(TINY, dtype="bfloat16")
    logits = model.logits(GOLDEN["ids"], audio=[(sound(1.0, 1), RATE)])
    assert error(logits, arrays()["logits"]) < 1e-2


def test_greedy_tokens(whisper):
    short = sound(1.0, 1)
    plain = whisper.transcribe(short, RATE, language="en", timestamps=False)
    assert plain.segments[0].token_ids == GOLDEN["transcribed"]
    english = whisper.transcribe(short, RATE, language="de", task="translate", timestamps=False)
    assert english.segments[0].token_ids == GOLDEN["translated"]
    assert english.language == "de"


def test_the_language_is_detected(whisper):
    assert whisper.transcribe(sound(1.0, 1), RATE).language == GOLDEN["language"]


def test_long_sounds_with_times(whisper):
    long = sound(3.3, 2)
    heard = []
    spoken = whisper.transcribe(
        long, RATE, language="fr", on_segment=lambda s, done: heard.append((s.start, done))
    )
    assert spoken.duration == pytest.approx(3.3)
    assert len(spoken.segments) == len(GOLDEN["segments"])
    for ours, theirs in zip(spoken.segments, GOLDEN["segments"]):
        # A time is no later than the end of the sound; the reference keeps the second of two times
        # where the next window goes on.
        assert ours.start == pytest.approx(theirs["start"])
        assert ours.end == pytest.approx(min(theirs["end"], 3.3))
        assert ours.token_ids == theirs["tokens"][: len(ours.token_ids)]
        assert len(theirs["tokens"]) - len(ours.token_ids) in (0, 1)
    assert [start for start, _ in heard] == [s.start for s in spoken.segments]
    assert heard[-1][1] == 1.0


NEVER = {"logprob_threshold": -1e6, "compression_ratio_threshold": None}


def figures(segments):
    """Of each window, in order: its segments share them."""
    told = [(s.avg_logprob, s.compression_ratio, s.no_speech_prob) for s in segments]
    return list(dict.fromkeys(told))


def test_figures_of_confidence(whisper):
    spoken = whisper.transcribe(sound(3.3, 2), RATE, language="fr", **NEVER)
    ours = figures(spoken.segments)
    assert len(ours) == len(GOLDEN["windows"])
    for mine, theirs in zip(ours, GOLDEN["windows"]):
        # Mean of 30 log-probabilities of order 1 in float32; zlib counts whole bytes.
        assert mine[0] == pytest.approx(theirs["avg_logprob"], abs=1e-4)
        assert mine[1] == theirs["compression_ratio"]
        assert mine[2] == pytest.approx(theirs["no_speech_prob"], rel=1e-4)
    assert {s.temperature for s in spoken.segments} == {0.0}


def test_falling_back_to_higher_temperatures(whisper):
    # Windows without times follow one another blindly: what one says moves no other.
    def say(**settings):
        return whisper.transcribe(sound(5.0, 4), RATE, timestamps=False, language="en", **settings)

    greedy = say(**NEVER)
    assert len(greedy.segments) == 5
    logprobs = sorted(s.avg_logprob for s in greedy.segments)
    between = (logprobs[1] + logprobs[2]) / 2
    hot = say(
        temperatures=(0.0, 0.7, 0.9), logprob_threshold=between, compression_ratio_threshold=None
    )
    for before, after in zip(greedy.segments, hot.segments):
        if before.avg_logprob >= between:
            assert after == before
        else:
            assert after.temperature in (0.7, 0.9)
            # 0.7 was believed, or 0.9 is what is left.
            assert after.temperature == 0.9 or after.avg_logprob >= between
    ratios = sorted(s.compression_ratio for s in greedy.segments)
    most = (ratios[2] + ratios[3]) / 2
    again = say(
        temperatures=(0.0, 0.0), logprob_threshold=-1e6, compression_ratio_threshold=most
    )
    assert [s.token_ids for s in again.segments] == [s.token_ids for s in greedy.segments]
    warm = say(
        temperatures=(0.0, 1.0), logprob_threshold=-1e6, compression_ratio_threshold=most, seed=5
    )
    assert [s.temperature > 0 for s in warm.segments] == [
        s.compression_ratio > most for s in greedy.segments
    ]
    same = say(
        temperatures=(0.0, 1.0), logprob_threshold=-1e6, compression_ratio_threshold=most, seed=5
    )
    assert same.segments == warm.segments


def test_a_short_sound_padded_with_zeros(whisper):
    def say(seconds, **settings):
        return whisper.transcribe(sound(seconds, 1), RATE, language="en", **NEVER, **settings)

    silence, zeros = say(0.4), say(0.4, padding="zeros")
    assert zeros.segments and figures(zeros.segments) != figures(silence.segments)
    assert zeros.duration == silence.duration
    assert say(2.0, padding="zeros").segments == say(2.0).segments  # no window to be filled


def test_silence_is_skipped_whatever_the_temperatures(whisper):
    settings = {"logprob_threshold": 0.0, "no_speech_threshold": 0.0}
    assert whisper.transcribe(sound(1.0, 1), RATE, temperatures=(0, 1), **settings).segments == []


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"temperatures": ()}, "temperatures: the list is empty"),
        ({"temperatures": (0, -1)}, "temperatures: -1 is not between"),
        ({"temperatures": "hot"}, "temperatures is 'hot'"),
        ({"logprob_threshold": float("nan")}, "logprob_threshold is nan"),
        ({"seed": -1}, "seed is -1"),
        ({"padding": "noise"}, 'padding is "noise"'),
    ],
)
def test_settings_out_of_range(whisper, settings, match):
    with pytest.raises(RequestError, match=match):
        whisper.transcribe(sound(0.2, 1), RATE, **settings)


def test_the_same_words_whoever_else_is_heard(whisper):
    """Calls from several threads share the engine's batches."""
    from concurrent.futures import ThreadPoolExecutor

    sounds = [sound(1.0 + i / 7, i) for i in range(6)]
    alone = [whisper.transcribe(s, RATE) for s in sounds]
    with ThreadPoolExecutor(6) as pool:
        together = list(pool.map(lambda s: whisper.transcribe(s, RATE), sounds))
    assert [t.segments for t in together] == [t.segments for t in alone]


def test_files_of_many_kinds(whisper):
    short = sound(1.0, 1)
    plain = whisper.transcribe(as_wav(short), language="en")
    assert whisper.transcribe(as_wav(short, channels=8), language="en").text == plain.text
    fine = whisper.transcribe(as_wav(short, width=3), language="en")
    assert fine.duration == plain.duration == 1.0
    slow = whisper.transcribe(as_wav(short[::2], rate=8000), language="en")
    assert slow.duration == 1.0


def test_silence_is_an_answer(whisper):
    quiet = whisper.transcribe(np.zeros(RATE, np.float32), RATE)
    assert quiet.duration == 1.0
    assert whisper.transcribe(np.zeros(1, np.float32), RATE).duration > 0


def test_bad_sounds(whisper, tmp_path):
    text = tmp_path / "speech.wav"
    text.write_text("no sound at all\n" * 9)
    with pytest.raises(MediaError, match="speech.wav.*looks like text"):
        whisper.transcribe(str(text))
    with pytest.raises(MediaError, match="0 samples"):
        whisper.transcribe(np.zeros(0, np.float32), RATE)
    with pytest.raises(MediaError, match="sample 3 is not a finite"):
        whisper.transcribe(np.array([0, 0, 0, np.nan], np.float32), RATE)
    with pytest.raises(MediaError, match="int16"):
        whisper.transcribe(np.zeros(5, np.int16), RATE)
    with pytest.raises(RequestError, match="need their rate"):
        whisper.transcribe(np.zeros(5, np.float32))
    with pytest.raises(RequestError, match='"xx" is not known.*en, de, fr'):
        whisper.transcribe(sound(0.2, 1), RATE, language="xx")
    with pytest.raises(RequestError, match="one sound a request"):
        whisper.logits(GOLDEN["ids"])
    with pytest.raises(RequestError, match='task is "sing"'):
        whisper.transcribe(sound(0.2, 1), RATE, task="sing")


def test_subtitles():
    from chiasm._transcript import Segment, Transcript

    segments = [Segment(0, 1.5, "a --> b", []), Segment(3661.25, 3662, "x < y\n\nz", [])]
    transcript = Transcript("", "en", 4000, segments, None)
    assert transcript.srt() == (
        "1\n00:00:00,000 --> 00:00:01,500\na -> b\n\n2\n01:01:01,250 --> 01:01:02,000\nx < y z\n"
    )
    assert transcript.vtt() == (
        "WEBVTT\n\n00:00:00.000 --> 00:00:01.500\na -&gt; b\n\n"
        "01:01:01.250 --> 01:01:02.000\nx &lt; y z\n"
    )


def command(*arguments, code=0):
    done = subprocess.run(
        [sys.executable, "-m", "chiasm", "transcribe", *arguments, "--model", str(TINY)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == code, done.stderr
    return done


def test_command(whisper, tmp_path):
    file = tmp_path / "long.wav"
    file.write_bytes(as_wav(sound(3.3, 2)))
    said = json.loads(command(str(file), "--json", "--dtype", "float32").stdout)
    expected = whisper.transcribe(str(file))
    assert said["text"] == expected.text and said["language"] == expected.language
    assert [s["start"] for s in said["segments"]] == [s.start for s in expected.segments]
    out = tmp_path / "long.srt"
    command(str(file), "--format", "srt", "--dtype", "float32", "--out", str(out))
    assert out.read_text(encoding="utf-8") == expected.srt()
    vtt = command(str(file), "--format", "vtt", "--dtype", "float32").stdout
    assert vtt == expected.vtt()
    both = command(str(file), str(file)).stdout.splitlines()
    assert len(both) == 2 and both[0].startswith(f"{file}: ")
    wrong = command(str(file), "--format", "odt", code=1)
    assert wrong.stderr == "chiasm: error: --format odt: expected one of text, srt, vtt, json\n"
    missing = command(str(tmp_path / "none.wav"), code=1)
    assert "none.wav" in missing.stderr and missing.stderr.count("\n") == 1


def test_a_prompt_in_words(whisper):
    """Features go beside the prompt, which has no placeholder for them."""
    words = "<|startoftranscript|><|de|><|transcribe|><|notimestamps|>Chiasm!"
    ids = whisper.tokenize(words, add_special_tokens=False)
    heard = chiasm._chiasm.AudioInput.from_samples(sound(1.0, 1), RATE, "sound")
    request = chiasm._chiasm.Request([(words, True)], audio=[heard])
    expected = whisper.logits(ids, audio=[(sound(1.0, 1), RATE)])
    assert len(ids) == 11 and np.array_equal(whisper._native.logits(request), expected)
