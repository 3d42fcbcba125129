"""Questions about sounds, through Python and the command line; the numbers are the parity tests'."""

import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from spoken import as_wav, sound

import chiasm
from chiasm import MediaError, RequestError

MODELS = pathlib.Path(__file__).parents[1] / "golden" / "models"
SPEECH = MODELS.parent / "audio" / "sounds" / "speech.flac"
RATE = 16000


@pytest.fixture(scope="module", params=["qwen2_audio_pooled", "voxtral_windows"])
def listener(request):
    return chiasm.load(MODELS / request.param, dtype="float32")


def about(*items):
    return [{"role": "user", "content": [*items, {"type": "text", "text": "What is it?"}]}]


def test_messages_are_the_turn_that_the_reference_writes(listener):
    golden = json.loads((pathlib.Path(listener.info.path) / "golden.json").read_text())
    case = golden["turn"]
    spoken = [(sound(samples / RATE, i), RATE) for i, (_, samples) in enumerate(case["sounds"])]
    items = [{"type": "audio", "audio": s} for s in spoken]
    assert listener.prompt_ids(about(*items)) == case["ids"]
    assert listener.prompt_ids(about(), audio=spoken) == case["ids"]


def test_plan_and_usage_agree(listener):
    messages = about({"type": "audio", "path": str(SPEECH)})
    plan = listener.plan(messages, max_tokens=4)
    usage = listener.generate(messages, max_tokens=4).usage
    assert plan.audio_tokens == usage.audio_tokens > 0
    assert plan.tokens == usage.prompt_tokens
    assert plan.peak_bytes > plan.weight_bytes > 0
    assert listener.encode_audio(str(SPEECH)).shape == (
        plan.audio_tokens,
        listener.info.hidden_size,
    )


def test_a_file_its_bytes_and_its_samples_are_the_same_sound(listener, tmp_path):
    samples = np.round(sound(1.3, 5) * 32767).astype(np.float32)
    file = tmp_path / "a.wav"
    file.write_bytes(as_wav(samples / 32767))
    answers = {
        listener.generate(about(), audio=[given], max_tokens=8).text
        for given in (file, file.read_bytes(), (samples / 32768, RATE))
    }
    assert len(answers) == 1


def test_placeholders_and_sounds_must_fit(listener):
    token = listener.info.audio_token
    heard = [(sound(0.5, 1), RATE)]
    one = listener.prompt_ids(f"{token}x", audio=heard)
    assert one.count(listener.tokenize(token, add_special_tokens=False)[0]) > 1
    with pytest.raises(RequestError, match="1 sound"):
        listener.prompt_ids(f"{token}x{token}", audio=heard)
    with pytest.raises(RequestError, match="no pictures"):
        listener.prompt_ids("x", images=[np.zeros((4, 4, 3), np.uint8)])
    # A user's words are never structure.
    sly = [{"role": "user", "content": [{"type": "audio"}, {"type": "text", "text": token}]}]
    assert listener.plan(sly, audio=heard).audio_tokens == len(
        [i for i in one if i == listener.tokenize(token, add_special_tokens=False)[0]]
    )


def test_bad_sounds_fail_alone(listener, tmp_path):
    text = tmp_path / "speech.wav"
    text.write_text("no sound at all\n" * 9)
    with pytest.raises(MediaError, match="speech.wav.*looks like text"):
        listener.generate(about({"type": "audio", "audio": str(text)}))
    with pytest.raises(MediaError, match="0 samples"):
        listener.generate(about(), audio=[(np.zeros(0, np.float32), RATE)])
    with pytest.raises(MediaError, match="no-such.wav"):
        listener.generate(about({"type": "audio", "audio": "no-such.wav"}))
    assert listener.generate(about(), audio=[SPEECH], max_tokens=2).usage.completion_tokens == 2


def test_sounds_of_a_batch_are_as_alone(listener):
    sounds = [[(sound(0.4 + i / 3, i), RATE)] for i in range(3)]
    alone = [listener.generate(about(), audio=s, max_tokens=6).text for s in sounds]
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(3) as pool:
        together = pool.map(lambda s: listener.generate(about(), audio=s, max_tokens=6).text, sounds)
        assert list(together) == alone


def test_transcribe_and_whisper_messages_say_what_to_use(listener):
    with pytest.raises(RequestError, match="load a Whisper model"):
        listener.transcribe(SPEECH)
    whisper = chiasm.load(MODELS.parent / "whisper" / "tiny", dtype="float32")
    with pytest.raises(RequestError, match="transcribe"):
        whisper.generate(about({"type": "audio", "audio": SPEECH}))


def cli(*words):
    run = subprocess.run(
        [sys.executable, "-m", "chiasm", *map(str, words)], capture_output=True, text=True
    )
    return run.returncode, run.stdout, run.stderr


def test_command_line():
    model = ("--model", MODELS / "qwen2_audio_pooled", "--dtype", "float32")
    ask = ("ask", "What is it?", "--audio", SPEECH, "--max-tokens", 4, *model)
    code, out, err = cli(*ask)
    assert code == 0 and out.strip(), err
    code, out, err = cli(*ask, "--audio", SPEECH, "--json")
    row = json.loads(out)
    assert code == 0 and len(row["sounds"]) == 2 and row["usage"]["audio_tokens"] == 2 * 48
    code, out, err = cli("plan", "--audio", SPEECH, *model)
    assert code == 0 and "1, cut into 1 window" in out, err
    picture = MODELS / "pictures" / "dot.png"
    code, _, err = cli("ask", picture, "What is it?", "--audio", SPEECH, *model)
    assert code == 1 and "not about both" in err


def test_words_alone(listener):
    answer = listener.generate(about(), max_tokens=3)
    assert answer.usage.audio_tokens == 0 and answer.usage.completion_tokens == 3
