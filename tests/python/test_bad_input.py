"""Each bad input is one clear error of the right class, and the model stays usable."""

import io
import json
import shutil
import struct
import zlib

import numpy as np
import PIL.Image
import pytest
from conftest import MODELS, PICTURES

import chiasm
from chiasm import MediaError, ModelError, RequestError


@pytest.fixture(autouse=True)
def still_usable(request):
    """The shared model answers as before after whatever a test did to it."""
    if "model" not in request.fixturenames:
        yield
        return
    model = request.getfixturevalue("model")
    before = model.generate("words", max_tokens=4).token_ids
    yield
    assert model.generate("words", max_tokens=4).token_ids == before


# Models


@pytest.fixture
def folder(tmp_path):
    return shutil.copytree(MODELS / "smolvlm_2x2", tmp_path / "model")


def refused(folder, match, error=ModelError, **settings):
    with pytest.raises(error, match=match) as caught:
        chiasm.load(folder, **settings)
    assert "\n" not in str(caught.value)


def test_missing_folder(tmp_path):
    refused(tmp_path / "none", "none: no such folder")


def test_file_instead_of_a_folder(tmp_path):
    (tmp_path / "file").write_text("x")
    refused(tmp_path / "file", "is a file")


def test_folder_that_may_not_be_read(folder, monkeypatch):
    # root may read everything, so permissions alone prove nothing
    monkeypatch.setattr("os.access", lambda path, mode: False)
    refused(folder, "may not be read")


def test_folder_without_config(tmp_path):
    refused(tmp_path, "no config.json")


def test_config_that_is_no_json(folder):
    (folder / "config.json").write_text("{'model_type'")
    refused(folder, "config.json")


def test_unsupported_family(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "vlm2030"}))
    refused(folder, 'family "vlm2030" is not supported; supported are: .*smolvlm')


@pytest.mark.parametrize(
    ("part", "key", "value"),
    [
        ("text_config", "hidden_size", 0),
        ("text_config", "num_hidden_layers", 10**9),
        ("vision_config", "num_channels", 4),
    ],
)
def test_sizes_that_make_no_model_are_named(folder, part, key, value):
    config = json.loads((folder / "config.json").read_text())
    config[part][key] = value
    (folder / "config.json").write_text(json.dumps(config))
    refused(folder, f"config.json: {part}: these sizes.* {key} {value}")


def test_missing_weights(folder):
    (folder / "model.safetensors").unlink()
    refused(folder, "safetensors")


def test_missing_tokenizer(folder):
    (folder / "tokenizer.json").unlink()
    refused(folder, "tokenizer.json")


def test_truncated_weights(folder):
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    refused(folder, "model.safetensors")


@pytest.mark.parametrize("length", [2**63, 2**40, 0, 5])
def test_lying_header_length(folder, length):
    file = folder / "model.safetensors"
    file.write_bytes(struct.pack("<Q", length) + file.read_bytes()[8:])
    refused(folder, "model.safetensors")


def rewrite_header(folder, change):
    file = folder / "model.safetensors"
    raw = file.read_bytes()
    (length,) = struct.unpack("<Q", raw[:8])
    header = json.loads(raw[8 : 8 + length])
    change(header)
    new = json.dumps(header).encode()
    file.write_bytes(struct.pack("<Q", len(new)) + new + raw[8 + length :])


def test_shape_that_does_not_fit_names_both(folder):
    name = "lm_head.weight"

    def transpose(header):
        header[name]["shape"] = header[name]["shape"][::-1]

    rewrite_header(folder, transpose)
    refused(folder, r"lm_head\.weight: shape \[60, 411\], config.json asks for \[411, 60\]")


def test_a_tensor_that_nobody_reads(folder):
    rewrite_header(folder, lambda h: h.update({"model.extra": h.pop("lm_head.weight")}))
    refused(folder, "lm_head.weight|model.extra")


def test_overlapping_tensors(folder):
    def overlap(header):
        first, second = sorted(k for k in header if k != "__metadata__")[:2]
        header[first]["data_offsets"] = header[second]["data_offsets"]

    rewrite_header(folder, overlap)
    refused(folder, "model.safetensors")


def test_a_damaged_chat_template(folder):
    (folder / "chat_template.json").write_text("{")
    refused(folder, "chat_template.json")


@pytest.mark.parametrize(
    ("settings", "error", "match"),
    [
        ({"device": "cuda"}, chiasm.DeviceError, "CUDA"),
        ({"device": "abacus"}, RequestError, "abacus"),
        ({"dtype": "int3"}, RequestError, "int3"),
        ({"kv_cache": "int3"}, RequestError, "int3"),
        ({"threads": -1}, RequestError, "threads"),
        ({"threads": 0}, RequestError, "threads"),
        ({"threads": 1.5}, RequestError, "threads"),
        ({"max_context": -5}, RequestError, "max_context"),
        ({"max_context": 10**9}, RequestError, "max_context"),
        ({"quantize": "int5"}, RequestError, 'quantize "int5" is not known'),
        ({"attention_provider": "abacus"}, RequestError, "use own or cudnn"),
        ({"attention_provider": 3}, RequestError, "attention_provider"),
        (
            {"attention_provider": "cudnn", "device": "cpu"},
            RequestError,
            'is for a CUDA device, device is "cpu"',
        ),
        (
            {"attention_provider": "cudnn", "batch_invariant": True},
            RequestError,
            "leave one of the two out",
        ),
        ({"lora": 3}, RequestError, "lora is of type int"),
        ({"lora": "none"}, ModelError, "none: no such folder"),
    ],
)
def test_bad_load_settings(settings, error, match):
    refused(MODELS / "smolvlm_2x2", match, error, **settings)


# Pictures


def png(width: int, height: int, rows: bytes = b"") -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + data


def truncated() -> bytes:
    whole = io.BytesIO()
    noise = np.random.default_rng(1).integers(0, 256, (90, 90, 3), np.uint8)
    PIL.Image.fromarray(noise).save(whole, "JPEG")
    return whole.getvalue()[:2000]


BAD_PICTURES = {
    "truncated": (truncated, "image 1"),
    "text": (lambda: b"these are words, no picture", "text file"),
    "empty": (lambda: b"", "image 1"),
    "a bomb": (lambda: png(60_000, 60_000), "pixels"),
    "no pixels": (lambda: png(0, 5), "image 1"),
    "missing rows": (lambda: png(40, 40, b"\0" * 50), "image 1"),
    "no such file": (lambda: "/no/such/picture.jpg", "/no/such/picture.jpg"),
    "a folder": (lambda: PICTURES, "is a folder"),
    "a URL": (lambda: "https://example.com/a.jpg", "nothing is fetched"),
    "a broken data URL": (lambda: "data:image/png;base64,%%%", "base64"),
    "a data URL without data": (lambda: "data:image/png", "without a comma"),
    "a null byte": (lambda: "a\0b", "not a path"),
    "a number": (lambda: 5, "no picture"),
    "nothing": (lambda: None, "no picture"),
    "floats": (lambda: np.zeros((4, 4, 3), np.float32), "float32.*expected uint8"),
    "16 bits": (lambda: np.zeros((4, 4, 3), np.int16), "int16.*expected uint8"),
    "grey": (lambda: np.zeros((4, 4), np.uint8), r"\(4, 4\).*expected \[height, width, 3\]"),
    "four channels": (lambda: np.zeros((4, 4, 4), np.uint8), r"expected \[height, width, 3\]"),
    "an empty array": (lambda: np.zeros((0, 4, 3), np.uint8), "at least one pixel"),
}


@pytest.mark.parametrize("kind", BAD_PICTURES)
def test_bad_pictures(model, kind):
    make, match = BAD_PICTURES[kind]
    with pytest.raises(MediaError, match=match) as caught:
        model.generate("<image>a", images=[make()], max_tokens=2)
    assert "\n" not in str(caught.value)
    if kind not in ("a number", "nothing"):
        with pytest.raises(MediaError):
            model.caption(make(), max_tokens=2)
        with pytest.raises(MediaError):
            model.encode_image(make())


def test_one_bad_picture_in_a_batch(model, picture):
    with pytest.raises(MediaError, match="text file"):
        model.caption([picture, b"these are words, no picture", picture], max_tokens=2)


# Requests


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"max_tokens": 0}, "max_tokens is 0"),
        ({"max_tokens": -1}, "max_tokens is -1"),
        ({"max_tokens": 1.5}, "max_tokens is 1.5, expected an integer"),
        ({"max_tokens": True}, "expected an integer"),
        ({"max_tokens": "5"}, "expected an integer"),
        ({"max_tokens": 10**30}, "max_tokens"),
        ({"max_tokens": 2048}, "context of 2048"),
        ({"temperature": -0.1}, "temperature is -0.1"),
        ({"temperature": float("nan")}, "temperature is nan"),
        ({"temperature": float("inf")}, "temperature is inf"),
        ({"temperature": 10**400}, "temperature"),
        ({"temperature": None}, "temperature is None"),
        ({"top_k": -1}, "top_k is -1"),
        ({"top_p": 0}, "top_p is 0"),
        ({"top_p": 1.01}, "top_p is 1.01"),
        ({"top_p": float("nan")}, "top_p is nan"),
        ({"min_p": -0.5}, "min_p is -0.5"),
        ({"min_p": 2}, "min_p is 2"),
        ({"repetition_penalty": 0}, "repetition_penalty is 0"),
        ({"repetition_penalty": -1}, "repetition_penalty is -1"),
        ({"seed": -1}, "seed is -1"),
        ({"seed": 2**64}, "seed is"),
        ({"seed": "a"}, "seed is 'a'"),
        ({"logprobs": -1}, "logprobs is -1"),
        ({"logprobs": 10_000}, "logprobs is 10000"),
        ({"stop": [""]}, "stop"),
        ({"stop": [5]}, "a stop text"),
        ({"stop": 5}, "stop is of type int"),
        ({"audio": ["a.wav"]}, "hears no sound"),
        ({"videos": "a.mp4"}, "videos: expected a list"),
        ({"images": "a.png"}, "images: expected a list"),
        ({"volume": 11}, "volume is not a setting"),
        ({"logit_bias": {"a": 1}}, "logit_bias: a token id is 'a'"),
        ({"presence_penalty": "x"}, "presence_penalty is 'x'"),
        ({"frequency_penalty": float("inf")}, "frequency_penalty is inf"),
        ({"priority": 0.5}, "priority is 0.5"),
        ({"adapter": 3}, "adapter is of type int"),
        ({"adapter": "x"}, 'adapter "x" is not loaded'),
        ({"lora": "x"}, "lora is not a setting"),
        ({"tools": [{}]}, "tools need messages"),
        ({"num_beams": 0}, "num_beams is 0"),
        ({"num_beams": 65}, "between 1 and 64"),
        ({"n": 2}, "n is 2: Model.choices"),
        ({"n": 3, "num_beams": 2}, "between 1 and num_beams, which is 2"),
        ({"num_beams": 2, "early_stopping": "soon"}, "early_stopping is 'soon'"),
        ({"num_beams": 2, "length_penalty": float("nan")}, "length_penalty is nan"),
        ({"num_beams": 2, "temperature": 0.5}, "does not go together with sampling"),
        ({"num_beams": 2, "logprobs": 1}, "does not go together with logprobs"),
        ({"num_beams": 2, "prompt_lookup": 4}, "does not go together with prompt lookup"),
        ({"num_beams": 2, "context_overflow": "slide"}, "does not go together with a sliding"),
        ({"draft_model": "x"}, r"draft_model is not a setting .*chiasm.load\(..., draft"),
        ({"draft_tokens": 33}, "draft_tokens is 33"),
        ({"draft_tokens": 2}, "loaded without a draft"),
    ],
)
def test_bad_settings(model, settings, match):
    with pytest.raises(RequestError, match=match):
        model.generate("words", **settings)


def test_settings_that_ask_for_nothing_are_fine(model):
    model.generate(
        "words",
        max_tokens=1,
        audio=[],
        videos=None,
        images=(),
        json_schema=None,
        logit_bias=None,
        presence_penalty=0.0,
        n=1,
        num_beams=1,
        stop=None,
    )


def test_prompt_longer_than_the_context(model, picture):
    with pytest.raises(RequestError, match="context of 2048"):
        model.generate("word " * 4000)
    with pytest.raises(RequestError, match="context of 64"):
        chiasm.load(MODELS / "smolvlm_2x2", max_context=64).caption(picture, max_tokens=50)


@pytest.mark.parametrize(
    ("prompt", "pictures", "match"),
    [
        ("<image><image>a", 1, "2 <image> placeholder.*1 picture"),
        ("<image>a", 2, "1 <image> placeholder.*2 picture"),
        ("<image>a", 0, "1 <image> placeholder"),
        ("", 0, "empty"),
        ("\ud800", 0, "lone surrogate"),
        (5, 0, "expected a list"),
        (None, 0, "expected a list"),
        ([], 0, "empty"),
    ],
)
def test_bad_prompts(model, picture, prompt, pictures, match):
    with pytest.raises(RequestError, match=match):
        model.generate(prompt, images=[picture] * pictures, max_tokens=2)


def test_a_token_that_the_weights_do_not_have(folder, picture):
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    extra = {**tokenizer["added_tokens"][-1], "id": 5000, "content": "<|extra|>"}
    tokenizer["added_tokens"].append(extra)
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    model = chiasm.load(folder)
    with pytest.raises(RequestError, match="token id 5000 is outside the vocabulary of 411"):
        model.generate_all(["words", "<|extra|>"], max_tokens=2)
    assert model.caption(picture, max_tokens=4)


def test_bad_token_ids(model):
    for ids in ([5, -1], [5, 411], [1.5], [True], np.zeros((2, 2), np.int64), np.zeros(2)):
        with pytest.raises(RequestError):
            model.logits(ids)
    with pytest.raises(RequestError, match="outside the vocabulary"):
        model.detokenize([411])
    with pytest.raises(RequestError):
        model.detokenize([-1])


def test_bad_answers(model):
    with pytest.raises(RequestError, match="expected a list of str"):
        model.score("words", "answer")
    with pytest.raises(RequestError, match="no tokens"):
        model.score("words", [""])
    with pytest.raises(RequestError, match="of type int"):
        model.score("words", [5])


def test_lists_that_do_not_pair(model, picture):
    with pytest.raises(RequestError, match="2 pictures and 3 questions"):
        model.ask([picture] * 2, ["a", "b", "c"])
    with pytest.raises(RequestError, match="neither a picture nor a list"):
        model.caption(5)
    with pytest.raises(RequestError, match="question is of type NoneType"):
        model.ask(picture, None)
    with pytest.raises(RequestError, match="lists of images"):
        model.generate_all(["a", "b"], images=[None])


def test_models_that_see_no_pictures(text_model, picture):
    for call in (
        lambda: text_model.caption(picture),
        lambda: text_model.generate("a", images=[picture]),
        lambda: text_model.preprocess_image(picture),
        lambda: text_model.encode_image(picture),
    ):
        with pytest.raises(RequestError, match="no pictures"):
            call()


def test_models_without_a_chat_template(text_model):
    with pytest.raises(RequestError, match="template"):
        text_model.generate([{"role": "user", "content": "hi"}])
    with pytest.raises(RequestError, match="no chat template"):
        text_model.chat_prompt([{"role": "user", "content": "hi"}])


def test_no_model_hears_sound(model):
    for call in (
        lambda: model.transcribe("speech.wav"),
        lambda: model.preprocess_audio(np.zeros(5, np.float32), 16000),
        lambda: model.encode_audio(np.zeros(5, np.float32), 16000),
        lambda: model.logits("a", audio=["speech.wav"]),
    ):
        with pytest.raises(RequestError, match="hears no sound"):
            call()


def test_classes_of_errors():
    for error in (ModelError, MediaError, RequestError, chiasm.DeviceError, chiasm.Interrupted):
        assert issubclass(error, chiasm.Error)
