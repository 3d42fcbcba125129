"""Videos as files, arrays, lists and folders, in Python and on the command line."""

import json
import subprocess
import sys

import numpy as np
import pytest
from conftest import GOLDEN, MODELS, PICTURES, needs_ffmpeg
from PIL import Image

import chiasm
from chiasm import MediaError, RequestError, Video

CLIP = GOLDEN / "video" / "clip.mp4"
QWEN, SMOL = "qwen2_5_vl_windows", "smolvlm_2x2"
FPS = 7.5


def golden(folder):
    """The first case of tests/golden/video: the clip, sampled."""
    text = (GOLDEN / "video" / f"{folder}.json").read_text(encoding="utf-8")
    return json.loads(text)["cases"][0]


def frames(count=23, width=50, height=34):
    """The clip of tests/reference/make_video_golden.py."""
    y, x = np.mgrid[0:height, 0:width]
    out = []
    for t in range(count):
        r = (255 * x // (width - 1) + 13 * t) % 256
        g = (255 * y // (height - 1) + 7 * t * t) % 256
        b = (x * x + 3 * x * y + 7 * y + 29 * t) % 251
        disc = (2 * x - width + 4 * t) ** 2 + (2 * y - height) ** 2 < min(width, height) ** 2 // 2
        out.append(np.stack([np.where(disc, 255 - r, r), np.where(disc, 40, g), b], -1))
    return np.stack(out).astype(np.uint8)


def settings(case):
    return {"max_tokens": len(case["greedy"]), "ignore_eos": True}


@needs_ffmpeg
@pytest.mark.parametrize("folder", [QWEN, SMOL])
def test_a_file_gives_the_references_answer(models, folder):
    model, case = models(folder), golden(folder)
    video = Video(CLIP, fps=case["options"].get("fps"))
    out = model.generate(case["prompt"], videos=[video], **settings(case))
    assert out.token_ids == case["greedy"]
    assert out.usage.prompt_tokens == len(case["ids"]) and out.usage.video_tokens > 0
    assert model.prompt_ids(case["prompt"], videos=[video]) == case["ids"]
    content = CLIP.read_bytes()
    assert model.prompt_ids(case["prompt"], videos=[Video(content, video.fps)]) == case["ids"]


@pytest.mark.parametrize("folder", [QWEN, SMOL])
def test_an_array_with_its_rate_gives_the_references_answer(models, folder):
    model, case = models(folder), golden(folder)
    video = Video(frames(), fps=case["options"].get("fps"), frame_rate=FPS)
    assert (
        model.generate(case["prompt"], videos=[video], **settings(case)).token_ids == case["greedy"]
    )
    arrays = model.preprocess_video(video)
    assert {k: list(v.shape) for k, v in arrays.items()} == {
        k: v["shape"] for k, v in case["arrays"].items()
    }
    assert model.encode_video(video).shape[0] == case["stages"]["projector.out"]["shape"][0]


def test_messages_hold_videos(models):
    for folder in (QWEN, SMOL):
        model, case = models(folder), golden(folder)
        item = {"type": "video", "video": (frames(), FPS), **case["options"]}
        text = {"type": "text", "text": "What is this?"}
        ids = model.prompt_ids([{"role": "user", "content": [item, text]}])
        assert ids[-len(case["ids"]) :] == case["ids"]  # behind a system turn
        video = Video(frames(), fps=case["options"].get("fps"), frame_rate=FPS)
        for content in ([{"type": "video"}, text], "What is this?"):
            messages = [{"role": "user", "content": content}]
            assert model.prompt_ids(messages, videos=[video]) == ids
        assert isinstance(model.ask(video, "What is this?", max_tokens=4), str)


def test_words_stay_words_beside_a_video(models):
    model = models(SMOL)
    text = {"type": "text", "text": "<video> <image>"}
    messages = [{"role": "user", "content": [{"type": "video", "video": frames(2)}, text]}]
    plan = model.plan(messages)
    assert (plan.frames, plan.video_tokens, plan.image_tokens) == (2, 18, 0)


def test_a_list_and_a_folder_of_pictures_are_videos(models, tmp_path):
    model = models(QWEN)
    pictures = list(frames(5))
    for i, frame in enumerate(pictures):
        Image.fromarray(frame).save(tmp_path / f"frame_{i:03}.png")
    prompt = "<|video_pad|>What is this?"
    whole = model.logits(prompt, videos=[pictures])
    assert np.array_equal(model.logits(prompt, videos=[tmp_path]), whole)
    assert np.array_equal(model.logits(prompt, videos=[Video(frames(5), all_frames=True)]), whole)
    assert model.plan(prompt, videos=[pictures]).frames == 5
    assert model.plan(prompt, videos=[Video(tmp_path, num_frames=2)]).frames == 2


def test_a_second_question_encodes_nothing(models):
    model = models(QWEN)
    messages = [
        {
            "role": "user",
            "content": [{"type": "video", "video": frames(6)}, {"type": "text", "text": "Q"}],
        }
    ]
    first = model.generate(messages, max_tokens=2)
    second = model.generate(messages, max_tokens=2)
    assert second.usage.cached_tokens == first.usage.prompt_tokens - 1
    assert second.timings.encode == 0 and second.text == first.text


@pytest.mark.parametrize(
    ("video", "error", "match"),
    [
        (Video("no-such-file.mp4"), (MediaError, chiasm.DeviceError), "no-such-file.mp4"),
        ("https://example.org/a.mp4", MediaError, "nothing is fetched"),
        (np.zeros((4, 4, 3), np.uint8), MediaError, "expected .frames"),
        (np.zeros((2, 4, 4, 3), np.float32), MediaError, "uint8"),
        ([], MediaError, "without frames"),
        ([np.zeros((40, 40, 3), np.uint8), np.zeros((41, 40, 3), np.uint8)], MediaError, "pixels"),
        (5, MediaError, "is no video"),
        (Video(frames(4), num_frames=0), RequestError, "num_frames is 0"),
        (Video(frames(4), num_frames=2.5), RequestError, "num_frames is 2.5"),
        (Video(frames(4), fps=float("nan")), RequestError, "fps is nan"),
        (Video(frames(4), fps=1, num_frames=2), RequestError, "not both"),
        (Video(frames(4), fps=1), MediaError, "frame rate"),
        (Video(frames(4), num_frames=9), MediaError, "cannot take"),
        (Video(b"abc", frame_rate=3), RequestError, "its own frame rate"),
    ],
)
def test_bad_videos_are_refused(models, video, error, match):
    with pytest.raises(error, match=match):
        models(QWEN).generate("<|video_pad|>", videos=[video], max_tokens=1)


@needs_ffmpeg
def test_damaged_files_are_refused(models, tmp_path):
    text = tmp_path / "text.mp4"
    text.write_text("These are words.")
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(CLIP.read_bytes()[:20_000])
    for file in (text, cut):
        with pytest.raises(MediaError, match=file.name):
            models(QWEN).generate("<|video_pad|>", videos=[file], max_tokens=1)


def test_models_without_videos_say_so(models, text_model):
    video = [{"role": "user", "content": [{"type": "video", "video": frames(2)}]}]
    for model in (text_model, models("idefics3_3x3")):
        with pytest.raises(RequestError, match="sees no video"):
            model.generate(video)
        with pytest.raises(RequestError, match="sees no video"):
            model.generate("What?", videos=[frames(2)])


def chiasm_command(*arguments):
    command = [sys.executable, "-m", "chiasm", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


@needs_ffmpeg
def test_the_command_line_sees_videos():
    common = ("--model", MODELS / QWEN, "--dtype", "float32", "--max-tokens", 5, "--fps", 2)
    model = chiasm.load(MODELS / QWEN, dtype="float32")
    want = model.ask(Video(CLIP, fps=2), "What is this?", max_tokens=5)
    ran = chiasm_command("ask", "--video", CLIP, "What is this?", *common)
    assert (ran.returncode, ran.stdout.strip()) == (0, want), ran.stderr
    ran = chiasm_command("caption", CLIP, PICTURES / "wide.png", "--json", *common)
    assert ran.returncode == 0, ran.stderr
    video, picture = map(json.loads, ran.stdout.splitlines())
    assert video["video"] == str(CLIP) and video["usage"]["video_tokens"] == 36
    assert picture["picture"].endswith("wide.png") and picture["usage"]["video_tokens"] == 0
