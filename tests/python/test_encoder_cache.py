"""Features in a folder: found after a restart, equal bit for bit, never another model's, whatever is killed."""

import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time
import urllib.request

import numpy as np
import pytest
from conftest import GOLDEN, MODELS, PICTURES
from spoken import sound
from test_video import frames

import chiasm
from chiasm import Video

WIDE = str(PICTURES / "wide.png")
LORA = GOLDEN / "lora"
SMOL = "smolvlm_2x2"

# Says "ready", then answers about noise of its own seeds, again and again; a line tells each answer's
# last logits.
PROGRAM = """
import sys, numpy as np, chiasm
folder, cache, seeds, rounds = sys.argv[1], sys.argv[2], eval(sys.argv[3]), int(sys.argv[4])
model = chiasm.load(folder, dtype="float32", threads=1, encoder_cache_dir=cache)
print("ready", flush=True)
for seed in list(seeds) * rounds:
    noise = np.random.default_rng(seed).integers(0, 256, (60, 80, 3), np.uint8)
    logits = model.logits("<image>", images=[noise])
    print(seed, logits[-1].tobytes().hex(), flush=True)
stats = model._native.stats()
print(stats.encoder_misses, stats.encoder_disk_hits, stats.encoder_disk_failures)
"""


def load(cache, model=SMOL, **settings):
    return chiasm.load(MODELS / model, **({"dtype": "float32", "encoder_cache_dir": cache} | settings))


def counts(model):
    """Media that were encoded, and those whose features the folder had."""
    stats = model._native.stats()
    assert stats.encoder_disk_failures == 0
    return stats.encoder_misses, stats.encoder_disk_hits


def program(cache, seeds, rounds=1, **settings):
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, MODELS / SMOL, cache, seeds, str(rounds)],
        stdout=subprocess.PIPE,
        text=True,
        **settings,
    )


def answers(lines):
    """Logits by seed."""
    return dict(line.split() for line in lines)


@pytest.fixture(scope="module")
def without_cache(models, tmp_path_factory):
    """What the program says of some seeds; its features are thrown away."""
    out, _ = program(tmp_path_factory.mktemp("apart"), "range(20)").communicate(timeout=60)
    return answers(out.splitlines()[1:-1])


@pytest.mark.parametrize(
    ("name", "prompt", "media"),
    [
        (SMOL, "<image>", {"images": [WIDE]}),
        (SMOL, "<image>", {"images": [str(PICTURES / "square.png")]}),
        ("llava_next_anyres", "<image>", {"images": [WIDE]}),
        ("qwen3_vl_deepstack", None, {"images": [WIDE]}),
        ("qwen2_5_vl_windows", None, {"videos": [Video(frames(), frame_rate=7.5)]}),
        ("qwen2_audio_pooled", None, {"audio": [(sound(1.5, 3), 16000)]}),
        ("voxtral_windows", None, {"audio": [(sound(1.5, 3), 16000)]}),
    ],
)
def test_a_restart_finds_what_was_encoded_and_answers_the_same(models, tmp_path, name, prompt, media):
    prompt = "What is it?" if prompt is None else prompt
    want = models(name).logits(prompt, **media) if "videos" not in media else None
    told = []
    for expected in ((1, 0), (0, 1)):
        model = load(tmp_path, name)
        if want is not None:
            assert np.array_equal(model.logits(prompt, **media), want)
        told.append(model.generate(prompt, max_tokens=6, logprobs=3, **media))
        assert counts(model) == expected
    assert told[0].token_ids == told[1].token_ids and told[0].logprobs == told[1].logprobs
    assert told[1].timings.encode == 0 == told[1].timings.preprocess


def test_media_of_one_batch_are_all_kept(tmp_path):
    noise = [np.random.default_rng(i).integers(0, 256, (50, 70, 3), np.uint8) for i in range(21)]
    first, second = load(tmp_path), load(tmp_path)
    want = first.caption(noise, max_tokens=2)
    assert counts(first) == (21, 0) and first._native.stats().encoder_disk_writes == 21
    assert second.caption(noise, max_tokens=2) == want
    assert counts(second) == (0, 21)


def test_nothing_is_written_where_no_folder_is_named(models):
    stats = models(SMOL)._native.stats()
    assert stats.encoder_disk_writes == stats.encoder_disk_hits == 0


def encoded(model, **settings):
    """Whether a picture had to be encoded."""
    misses, _ = counts(model)
    model.generate("<image>", images=[WIDE], max_tokens=1, **settings)
    return counts(model)[0] > misses


def test_number_formats_have_features_of_their_own(tmp_path):
    for settings in ({}, {"dtype": "bfloat16"}, {"dtype": "float16"}, {"quantize": "int8"}):
        assert encoded(load(tmp_path, **settings))
        assert not encoded(load(tmp_path, **settings, threads=1, kv_cache="int8"))


def rewrite(file, change):
    """Changes a file's content without a trace in its size and times."""
    times = os.stat(file)
    data = bytearray(file.read_bytes())
    change(data)
    assert len(data) == times.st_size
    file.write_bytes(data)
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))


def test_another_model_in_the_same_place_has_features_of_its_own(tmp_path):
    folder, cache = tmp_path / "model", tmp_path / "cache"
    shutil.copytree(MODELS / SMOL, folder)

    def again():
        return encoded(chiasm.load(folder, dtype="float32", encoder_cache_dir=cache))

    assert [again(), again()] == [True, False]
    weights = folder / "model.safetensors"
    head = 8 + int.from_bytes(weights.read_bytes()[:8], "little")

    def trained(data):  # all numbers change a little, as in training; sizes and times do not tell
        values = np.frombuffer(data, np.uint16, offset=head + (len(data) - head) % 2)
        values ^= 1

    rewrite(weights, trained)
    assert [again(), again()] == [True, False]
    settings = folder / "preprocessor_config.json"
    mean = b'"image_mean"'
    assert mean in settings.read_bytes()

    def processed_otherwise(data):
        at = data.index(b"0.5", data.index(mean))
        data[at : at + 3] = b"0.4"

    rewrite(settings, processed_otherwise)
    assert [again(), again()] == [True, False]
    os.utime(weights)  # written anew, perhaps in a few numbers only
    assert [again(), again()] == [True, False]
    folder = folder.rename(tmp_path / "moved")
    assert not again(), "the place is no part of a model"


def test_adapters_have_features_of_their_own(tmp_path):
    loras = {"towers": LORA / "smolvlm_towers", "words": LORA / "smolvlm_words"}
    first = load(tmp_path, lora=loras)
    assert [encoded(first, adapter=a) for a in ("towers", "", "words")] == [True, True, False]
    renamed = {"other": loras["words"], "one": loras["towers"]}  # loaded in another order
    second = load(tmp_path, lora=renamed)
    assert [encoded(second, adapter=a) for a in ("one", "", "other")] == [False] * 3
    want = first.logits("<image>", images=[WIDE], adapter="towers")
    assert np.array_equal(second.logits("<image>", images=[WIDE], adapter="one"), want)


def test_kernels_and_builds_have_features_of_their_own(tmp_path):
    def misses(**settings):
        out, _ = program(tmp_path / "cache", "[1]", **settings).communicate(timeout=60)
        return out.split()[-3]

    assert [misses(), misses()] == ["1", "0"]
    portable = os.environ | {"CHIASM_FORCE_CPU": "portable"}
    assert [misses(env=portable), misses(env=portable)] == ["1", "0"]

    # The same package, its extension built anew: another build id, or other bytes where it has none.
    package = pathlib.Path(chiasm.__file__).parent
    (tmp_path / "chiasm").mkdir()
    for file in package.iterdir():
        if file.suffix != ".so":
            (tmp_path / "chiasm" / file.name).symlink_to(file.resolve())
    extension = pathlib.Path(chiasm._chiasm.__file__)
    data = bytearray(extension.read_bytes())
    note = data.find(b"\x04\0\0\0\x14\0\0\0\x03\0\0\0GNU\0")
    at = data.index(b"Loads a Hugging Face folder") if note < 0 else note + 16
    data[at] ^= 1
    (tmp_path / "chiasm" / extension.name).write_bytes(data)
    rebuilt = os.environ | {"PYTHONPATH": str(tmp_path)}
    assert [misses(env=rebuilt), misses(env=rebuilt), misses()] == ["1", "0", "0"]


def test_processes_that_are_killed_harm_nobody(tmp_path, without_cache):
    for delay in (0.01, 0.1, 0.25):
        child = program(tmp_path, "range(20)", rounds=1000)
        assert child.stdout.readline() == "ready\n"
        child.stdout.readline()  # at least one picture is there
        time.sleep(delay)
        child.send_signal(signal.SIGKILL)
        child.communicate()
        assert child.returncode == -signal.SIGKILL
    out, _ = program(tmp_path, "range(20)").communicate(timeout=60)
    lines = out.splitlines()
    assert answers(lines[1:-1]) == without_cache
    misses, hits, failures = map(int, lines[-1].split())
    assert hits >= 1 and hits + misses == 20 and failures == 0
    names = {file.suffix for file in tmp_path.iterdir()}
    assert names == {"", ".features"}, "the lock and whole features"


def test_two_processes_share_a_folder(tmp_path, without_cache):
    children = [program(tmp_path, seeds) for seeds in ("range(14)", "range(19, 5, -1)")]
    for child in children:
        out, _ = child.communicate(timeout=60)
        assert child.returncode == 0
        assert answers(out.splitlines()[1:-1]).items() <= without_cache.items()
    out, _ = program(tmp_path, "range(20)").communicate(timeout=60)
    assert out.splitlines()[-1] == "0 20 0"


def test_errors(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(chiasm.RequestError, match=r"encoder_cache_dir .*file: cannot be made"):
        load(tmp_path / "file")
    with pytest.raises(chiasm.RequestError, match="encoder_cache_dir_bytes is 5, expected at least"):
        load(tmp_path, encoder_cache_dir_bytes=5)
    with pytest.raises(chiasm.RequestError, match="family whisper hears"):
        load(tmp_path, model="../whisper/tiny")


def test_the_server_keeps_features_and_counts_them(tmp_path):
    with serve(tmp_path / "kept") as url, urllib.request.urlopen(f"{url}/metrics") as response:
        assert b"chiasm_chat_encoder_disk_hits 0" in response.read()
    assert (tmp_path / "kept" / "lock").exists()


@contextlib.contextmanager
def serve(cache):
    server = subprocess.Popen(
        [sys.executable, "-m", "chiasm", "serve", "--port", "0", "--model", MODELS / SMOL]
        + ["--encoder-cache-dir", cache, "--encoder-cache-mb", "2"],
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        line = server.stderr.readline()
        assert line.startswith("chiasm: serving at "), line
        yield line.split()[-1]
    finally:
        server.terminate()
        server.communicate(timeout=30)
