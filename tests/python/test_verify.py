"""`chiasm verify`: what compares is tested with a reference folder made of Chiasm's own stages, without
torch."""

import json
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from conftest import GOLDEN, MODELS, PICTURES

import chiasm
from chiasm._verify import child, job
from chiasm._verify.checks import Distance, array_check, tokens_check
from chiasm._verify.seen import Seen

COMMAND = pathlib.Path(sys.executable).parent / "chiasm"
MODEL = MODELS / "smolvlm_2x2"


def fake_reference(folder: pathlib.Path, out: pathlib.Path) -> dict:
    """seen.json and its files as transformers' process leaves them, made by Chiasm itself."""
    settings = dict(tokens=6, threads=1, images=[], audio=[], prompts=[])
    made = job.make(folder, out, dtype="float32", **settings)
    seen = {"job": made, "versions": {"torch": "0", "transformers": "0"}, "media": [], "cases": []}
    seen["image_std"] = [0.5] * 3
    kept: dict[str, list] = {}

    def stages(case: str, compute, last: str) -> list[dict]:
        kept.clear()
        model_tap(lambda name, rows: kept.setdefault(name, []).append(rows.copy()))
        result = compute()
        model_tap(None)
        kept.pop(last, None)
        kept[last] = [result]
        described = []
        for name, pieces in kept.items():
            rows = np.concatenate(pieces).astype(np.float32)
            rows.tofile(out / f"{case}.{name}.f32")
            described.append(
                {"name": name, "file": f"{case}.{name}.f32", "rows": len(rows), "columns": rows.shape[1]}
            )
        return described

    if made["kind"] == "embedder":
        embedder = chiasm.load_embedder(folder, dtype="float32")
        model_tap = embedder._native.set_tap
        for i, text in enumerate(made["texts"]):
            described = stages(f"text {i}", lambda: embedder.embed_text([text]), "vector")
            seen["cases"].append({"name": f"text {i}", "text": text, "stages": described})
    elif made["kind"] == "retriever":
        retriever = chiasm.load_retriever(folder, dtype="float32")
        rows = {f"text {i}": retriever.embed_text([text])[0] for i, text in enumerate(made["texts"])}
        media = {name: {"text": text} for name, text in zip(rows, made["texts"])}
        for m in made["images"]:
            rows[m["name"]] = retriever.embed_image([np.load(m["file"])])[0]
            media[m["name"]] = {"image": m["name"]}
        for name, vectors in rows.items():
            file = f"{name}.vector.f32"
            vectors.tofile(out / file)
            stage = {"name": "vector", "file": file, "rows": len(vectors), "columns": vectors.shape[1]}
            seen["cases"].append({"name": name, **media[name], "stages": [stage]})
    else:
        gguf = made["kind"] == "gguf"
        model = chiasm.load(folder, **({"mmproj": "none"} if gguf else {"dtype": "float32"}))
        model_tap = model._native.set_tap
        pixels = {m["name"]: np.load(m["file"]) for m in made["images"]}
        for name, picture in pixels.items():
            arrays = []
            for key, array in model.preprocess_image(picture).items():
                np.save(out / f"{name}.{key}.npy", array)
                arrays.append({"name": key, "file": f"{name}.{key}.npy"})
            seen["media"].append({"kind": "images", "name": name, "arrays": arrays})
        for case in made["cases"]:
            images = [pixels[n] for n in case["images"]]
            prompt = "<image>" * len(images) + case["words"]
            told = model.generate(prompt, images=images, max_tokens=6)
            described = stages(
                case["name"], lambda: model.logits(prompt, images=images), "logits"
            )
            seen["cases"].append(
                {**case, "prompt": prompt, "special": True, "tokens": told.token_ids,
                 "ids": model.prompt_ids(prompt, images=images), "leads": [1.0] * 7,
                 "stages": described}
            )  # fmt: skip
    (out / "seen.json").write_text(json.dumps(seen))
    return seen


@pytest.fixture
def reference(tmp_path):
    fake_reference(MODEL, tmp_path)
    return tmp_path


def change(reference: pathlib.Path, stage: str, factor: float) -> None:
    for file in reference.glob(f"*.{stage}.f32"):
        (np.fromfile(file, np.float32) * np.float32(factor)).tofile(file)


def test_equal_stages_pass(reference):
    report = chiasm.verify(MODEL, reference=reference)
    assert report.passed and report.family == "smolvlm" and report.dtype == "float32"
    stages = {check.stage for check in report.checks}
    assert stages == {
        "preprocessing: pixel_values", "preprocessing: pixel_attention_mask", "prompt",
        "encoder (vision.out)", "projector", "decoder", "logits", "greedy tokens",
    }  # fmt: skip
    assert all(check.error == 0 for check in report.checks)


def test_the_first_diverging_layer_is_named(reference):
    for stage in ("vision.layers.1", "vision.out", "projector.out", "logits"):
        change(reference, stage, 1.001)
    report = chiasm.verify(MODEL, reference=reference)
    failed = [c for c in report.checks if not c.passed and c.of == "wide"]
    assert [c.stage for c in failed] == ["vision.layers.1", "encoder (vision.out)", "projector", "logits"]
    assert "first to diverge" in failed[0].note and failed[1].note == ""
    assert failed[0].error == pytest.approx(1e-3, rel=0.01)


def test_an_embedder_passes_and_fails(tmp_path):
    folder = GOLDEN / "embedders" / "bert_mean"
    fake_reference(folder, tmp_path)
    assert chiasm.verify(folder, reference=tmp_path).passed
    change(tmp_path, "text.layers.0", 1.01)
    failed = [c.stage for c in chiasm.verify(folder, reference=tmp_path).checks if not c.passed]
    assert failed == ["text.layers.0"] * 3


@pytest.mark.parametrize("name", ["colpali", "colqwen2"])
def test_a_retriever_passes_and_fails(name, tmp_path):
    folder = GOLDEN / "retrievers" / name
    fake_reference(folder, tmp_path)
    report = chiasm.verify(folder, reference=tmp_path)
    assert report.passed and [c.stage for c in report.checks] == ["vector"] * 5
    rows = np.fromfile(tmp_path / "tall.vector.f32", np.float32).reshape(-1, 20)
    rows[3] *= -1
    rows.tofile(tmp_path / "tall.vector.f32")
    failed = [c for c in chiasm.verify(folder, reference=tmp_path).checks if not c.passed]
    assert [(c.of, c.note) for c in failed] == [("tall", "first to diverge, worst in row 3")]


def test_a_gguf_file_passes_and_fails(tmp_path):
    file = GOLDEN / "gguf" / "mamba2.gguf"
    fake_reference(file, tmp_path)
    seen = json.loads((tmp_path / "seen.json").read_text())
    (tmp_path / "seen.json").write_text(json.dumps({**seen, "architecture": "mamba2"}))
    report = chiasm.verify(file, reference=tmp_path)
    assert report.passed and (report.family, report.dtype) == ("mamba2", "float32")
    assert [c.stage for c in report.checks] == ["prompt", "decoder", "logits", "greedy tokens"] * 2
    change(tmp_path, "logits", 1.002)
    failed = [c for c in chiasm.verify(file, reference=tmp_path).checks if not c.passed]
    assert [(c.stage, c.bound) for c in failed] == [("logits", 1e-3)] * 2
    assert job.numbers_of(GOLDEN / "gguf" / "mmproj-llava.gguf") == "float16"
    with pytest.raises(chiasm.ModelError, match="mamba2.*gguf|gguf.*mamba2"):
        chiasm.verify(MODELS / "mamba2_tied", reference=tmp_path)


def test_what_of_a_gguf_file_is_not_compared(tmp_path):
    file = GOLDEN / "gguf" / "gpt2.gguf"
    for options, why in (
        ({"dtype": "bfloat16"}, "own number formats"),
        ({"images": ["a.png"]}, "words alone"),
        ({"audio": ["a.wav"]}, "hears no sounds"),
    ):
        with pytest.raises(chiasm.RequestError, match=why):
            chiasm.verify(file, **options)
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho llama_cpp\n")
    python.chmod(0o755)
    with pytest.raises(chiasm.RequestError, match="pip install llama-cpp-python.*--python"):
        chiasm.verify(file, python=str(python))
    python.write_text(f"""#!/bin/sh
if [ "$3" = llama_cpp ]; then echo; exit 0; fi
echo '{{"error": "ValueError: no"}}'; exit 1""")
    with pytest.raises(chiasm.Error, match="llama.cpp failed: ValueError: no"):
        chiasm.verify(file, python=str(python))


def test_other_tokens_end_a_case(reference):
    seen = json.loads((reference / "seen.json").read_text())
    seen["cases"][0]["ids"][-1] += 1
    (reference / "seen.json").write_text(json.dumps(seen))
    checks = [c for c in chiasm.verify(MODEL, reference=reference).checks if c.of == "wide"]
    assert checks[-1].stage == "prompt" and checks[-1].error == 1 and not checks[-1].passed


def test_the_command(reference):
    done = subprocess.run(
        [COMMAND, "verify", MODEL, "--reference", reference], capture_output=True, text=True
    )
    assert done.returncode == 0 and done.stderr == "" and "checks passed" in done.stdout
    change(reference, "decoder.layers.0", 0.9)
    done = subprocess.run(
        [COMMAND, "verify", MODEL, "--reference", reference, "--json"],
        capture_output=True, text=True,
    )  # fmt: skip
    told = json.loads(done.stdout)
    assert done.returncode == 1 and not told["passed"] and done.stderr == ""
    assert [c["stage"] for c in told["checks"] if not c["passed"]] == ["decoder.layers.0"] * 3


def test_damaged_references_are_one_clear_error(reference):
    def refused(*parts: str) -> None:
        with pytest.raises(chiasm.RequestError) as caught:
            chiasm.verify(MODEL, reference=reference)
        assert all(part in str(caught.value) for part in parts)

    good = (reference / "seen.json").read_text()
    for text, part in [("{", "cannot be read"), ("[]", 'no "job"'), ("{}", 'no "job"')]:
        (reference / "seen.json").write_text(text)
        refused("seen.json", part)
    seen = json.loads(good)
    for name in ("../../secret", "/etc/passwd", 3):
        seen["cases"][0]["stages"][0]["file"] = name
        (reference / "seen.json").write_text(json.dumps(seen))
        refused("no file's name")
    (reference / "seen.json").write_text(good)
    file = next(reference.glob("wide.vision.embed.f32"))
    file.write_bytes(file.read_bytes()[:-4])
    refused(file.name, "make it anew")
    (reference / "seen.json").unlink()
    refused("--keep")
    with pytest.raises(chiasm.ModelError, match="llama.*smolvlm"):
        fake_reference(MODEL, reference)
        chiasm.verify(MODELS / "llama_gqa", reference=reference)


def test_missing_packages_are_named(tmp_path):
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho torch transformers\n")
    python.chmod(0o755)
    with pytest.raises(chiasm.RequestError, match="pip install torch.*--python"):
        chiasm.verify(MODEL, python=str(python))
    for wrong in (tmp_path / "none", tmp_path):
        with pytest.raises(chiasm.RequestError, match="cannot be run"):
            chiasm.verify(MODEL, python=str(wrong))


def test_wrong_models_are_told_apart(tmp_path):
    def refused(folder, *parts):
        with pytest.raises(chiasm.Error) as caught:
            chiasm.verify(folder)
        assert all(part in str(caught.value) for part in parts), str(caught.value)

    refused(tmp_path / "none", "no such folder")
    refused(tmp_path, "config.json")
    (tmp_path / "config.json").write_text('{"model_type": "mamba9"}')
    refused(tmp_path, "mamba9", "not supported")
    (tmp_path / "config.json").write_text('{"model_type": "ultravox"}')
    refused(tmp_path, "ultravox", "cannot be verified")
    for option in ({"dtype": "int8"}, {"tokens": 0}):
        with pytest.raises(chiasm.RequestError):
            chiasm.verify(MODEL, **option)
    with pytest.raises(chiasm.RequestError, match="hears no sounds"):
        chiasm.verify(MODEL, audio=["a.wav"])
    with pytest.raises(chiasm.RequestError, match="no such file"):
        chiasm.verify(MODEL, images=["none.png"])
    with pytest.raises(chiasm.RequestError, match="sees no pictures"):
        chiasm.verify(MODELS / "llama_gqa", images=[str(PICTURES / "wide.png")])


def stand_in(tmp_path: pathlib.Path, body: str) -> str:
    """A Python in which nothing is missing and the reference is `body`, a shell script."""
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nif [ "$3" = torch ]; then echo; exit 0; fi\n{body}\n')
    python.chmod(0o755)
    return str(python)


def test_what_the_reference_says_of_its_end(tmp_path):
    said = stand_in(tmp_path, """echo '{"error": "ValueError: no such layer"}'; exit 1""")
    with pytest.raises(chiasm.Error, match="transformers failed: ValueError: no such layer"):
        chiasm.verify(MODEL, python=said)
    killed = stand_in(tmp_path, "kill -9 $$")
    with pytest.raises(chiasm.Error, match="signal 9.*4 bytes"):
        chiasm.verify(MODEL, python=killed)
    with pytest.raises(chiasm.Error, match="transformers failed: no word"):
        chiasm.verify(MODEL, python=stand_in(tmp_path, "exit 3"), keep=tmp_path / "kept")
    assert not (tmp_path / "kept").exists()
    with pytest.raises(chiasm.RequestError, match="no empty folder"):
        chiasm.verify(MODEL, python=killed, keep=tmp_path)


def test_ctrl_c_ends_the_reference_too(tmp_path):
    python = stand_in(tmp_path, f"echo $$ > {tmp_path}/pid; exec sleep 60")
    verify = subprocess.Popen(
        [COMMAND, "verify", MODEL, "--python", python], stderr=subprocess.PIPE, text=True
    )
    pid = tmp_path / "pid"
    while not (pid.exists() and pid.read_text().strip()):
        time.sleep(0.05)
    verify.send_signal(signal.SIGINT)
    assert verify.wait(20) == 130 and verify.stderr.read() == "chiasm: error: interrupted\n"
    number = pid.read_text().strip()
    assert not pathlib.Path(f"/proc/{number}").exists()


def test_the_command_of_the_reference_needs_no_chiasm(tmp_path):
    """Its package runs in any Python: here, where torch is absent, up to torch's import."""
    shutil.copytree(pathlib.Path(child.__file__).parent / "reference", tmp_path / "reference")
    command = [sys.executable, "-m", "reference"]
    done = subprocess.run(command, cwd=tmp_path, input="{}", capture_output=True, text=True)
    assert done.returncode == 1 and '"error"' in done.stdout


def test_measures_refuse_what_they_must():
    want = np.arange(1, 7, dtype=np.float32).reshape(2, 3)

    def error(*pieces):
        distance = Distance(want)
        for piece in pieces:
            distance.add(np.asarray(piece, np.float32))
        return distance.error

    assert error(want) == 0 == error(want[:1], want[1:])
    assert error(-want) == pytest.approx(2) and error(want * 0) == 1
    for wrong in ([want[:1]], [want, want[:1]], [want[:, :2]], [want * np.nan], [want * np.inf]):
        assert not error(*wrong) < 1e9
    pixels = np.linspace(-1, 1, 4000, dtype=np.float32).reshape(1, 4, 1000)
    level = 2 / 255
    one, many, far = pixels.copy(), pixels + level, pixels.copy()
    one[0, 0, 5] += level
    far[0, 0, 5] += 3 * level
    passed = [array_check("", "pixel_values", x, pixels, [0.5] * 3).passed for x in (one, many, far)]
    assert passed == [True, False, False]
    assert not array_check("", "pixel_values", pixels * np.nan, pixels, [0.5] * 3).passed
    assert not array_check("", "pixel_values", None, pixels, None).passed
    assert tokens_check("", [1, 2, 3], [1, 2, 3], [1, 1, 1], 0).passed
    assert not tokens_check("", [1, 2, 4], [1, 2, 3], [1, 1, 0.5], 0.1).passed
    assert tokens_check("", [1, 2, 4], [1, 2, 3], [1, 1, 0.1], 0.1).passed
    assert not tokens_check("", [1, 2], [1, 2, 3], [1, 1, 1], 0.1).passed


def test_a_reference_may_lie_elsewhere_later(reference, tmp_path):
    moved = tmp_path / "moved"
    shutil.copytree(reference, moved, ignore=shutil.ignore_patterns("moved"))
    for file in reference.glob("*.npy"):
        file.unlink()
    assert Seen(moved)["job"]["family"] == "smolvlm"
    assert chiasm.verify(MODEL, reference=moved).passed
