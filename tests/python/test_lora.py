"""Adapters beside a model's weights: equal to PEFT's (tests/reference/make_lora_golden.py), chosen by each
request, also within one batch, and refused clearly where they are of another model or another kind."""

import json
import re
import shutil
import subprocess
import sys
import threading
import urllib.error
import urllib.request

import numpy as np
import pytest
from conftest import GOLDEN, MODELS, PICTURES
from test_cli import run

import chiasm

LORA = GOLDEN / "lora"
NAMES = ["llama_all", "llama_patterns", "smolvlm_towers", "smolvlm_words", "gpt2_turned"]


def golden(name):
    record = json.loads((LORA / name / "golden.json").read_text(encoding="utf-8"))
    record["images"] = [str(PICTURES / file) for file in record["images"]]
    record["logits"] = tensors(LORA / name / "golden.safetensors")["logits"]
    return record


def tensors(file):
    """The tensors of a safetensors file as float32; those of the checkpoints are kept in bfloat16."""
    data = file.read_bytes()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    header.pop("__metadata__", None)
    out = {}
    for name, t in header.items():
        part = data[8 + size :][slice(*t["data_offsets"])]
        if t["dtype"] == "BF16":
            wide = np.frombuffer(part, np.uint16).astype(np.uint32) << 16
            out[name] = wide.view(np.float32).reshape(t["shape"])
        else:
            dtype = {"F32": np.float32, "F16": np.float16}[t["dtype"]]
            out[name] = np.frombuffer(part, dtype).astype(np.float32).reshape(t["shape"])
    return out


def write_tensors(file, values):
    header, blob = {}, b""
    for name, array in values.items():
        array = np.asarray(array, np.float32, order="C")  # leaves a scalar one
        offsets = [len(blob), len(blob) + array.nbytes]
        header[name] = {"dtype": "F32", "shape": list(array.shape), "data_offsets": offsets}
        blob += array.tobytes()
    head = json.dumps(header).encode()
    file.write_bytes(len(head).to_bytes(8, "little") + head + blob)


def error(got, want):
    return np.linalg.norm(got.astype(np.float64) - want) / np.linalg.norm(want)


@pytest.fixture
def llama():
    return chiasm.load(MODELS / "llama_gqa", dtype="float32", lora={
        "all": LORA / "llama_all", "patterns": LORA / "llama_patterns"})  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "dtype, quantize, bound", [("float32", None, 1e-4), ("bfloat16", None, 1.5e-2),
                               ("float32", "int8", 5e-2), ("float32", "int4", 0.25)]
)  # fmt: skip
def test_logits_are_peft_s(name, dtype, quantize, bound):
    """The adapter itself is never rounded: what is off comes from the weights, as without it. These
    adapters change logits by more than their own length, and so up to double what 16 bits (5e-3), 8
    bits (2e-2) and 4 bits (7e-2: rows of 32 to 60 numbers hardly fill a group of 32) are off there."""
    want = golden(name)
    model = chiasm.load(MODELS / want["model"], dtype=dtype, quantize=quantize, lora=LORA / name)
    assert model.adapter == name and model.adapters[0].modules == want["modules"]
    assert model.prompt_ids(want["prompt"], images=want["images"]) == want["ids"]
    got = model.logits(want["prompt"], images=want["images"])
    assert error(got, want["logits"]) < bound
    without = model.logits(want["prompt"], images=want["images"], adapter="")
    assert error(without, want["logits"]) > 0.5
    plain = chiasm.load(MODELS / want["model"], dtype=dtype, quantize=quantize)
    assert np.array_equal(without, plain.logits(want["prompt"], images=want["images"]))


@pytest.mark.parametrize("name", NAMES)
def test_greedy_tokens_are_peft_s(name):
    want = golden(name)
    model = chiasm.load(MODELS / want["model"], dtype="float32", lora=LORA / name)
    out = model.generate(
        want["prompt"], images=want["images"], max_tokens=len(want["greedy"]), ignore_eos=True
    )
    assert out.token_ids == want["greedy"]


# Tables, positions, convolutions, norms: what no LoRA changes here.
NO_PRODUCT = re.compile("embed|lm_head|norm|conv|newline|wte|wpe|relative")


# The tower's last layer where the one before it is taken.
UNUSED = {
    "llava_clip": "vision_model.encoder.layers.3.",
    "llava_next_anyres": "vision_model.encoder.layers.3.",
}


def adapt(folder, out, module_of=str, unused=None):
    """A LoRA for all matrices of a checkpoint, one that adds nothing for those whose name holds `unused`,
    and the folder with W + s B A for weights. Returns both folders and how many matrices are changed."""
    weights = tensors(folder / "model.safetensors")
    random = np.random.default_rng(7)
    pairs, merged, changed = {}, dict(weights), 0
    for key, weight in weights.items():
        if not key.endswith(".weight") or weight.ndim != 2 or NO_PRODUCT.search(key):
            continue
        turned = ".c_" in key  # GPT-2's [in, out]
        rows, width = weight.T.shape if turned else weight.shape
        a = random.standard_normal((3, width)).astype(np.float32) / width**0.5
        b = 0.2 * random.standard_normal((rows, 3)).astype(np.float32)
        if unused is not None and unused in key:
            b *= 0  # never run, never trained
        else:
            changed += 1
        module = "base_model.model." + module_of(key.removesuffix(".weight"))
        pairs |= {f"{module}.lora_A.weight": a, f"{module}.lora_B.weight": b}
        change = 2.0 * (b.astype(np.float64) @ a)
        merged[key] = (weight + (change.T if turned else change)).astype(np.float32)
    shutil.copytree(folder, out / "merged")
    write_tensors(out / "merged" / "model.safetensors", merged)
    (out / "lora").mkdir()
    write_tensors(out / "lora" / "adapter_model.safetensors", pairs)
    (out / "lora" / "adapter_config.json").write_text('{"peft_type": "LORA", "r": 3, "lora_alpha": 6}')
    return out / "lora", out / "merged", changed


@pytest.mark.parametrize("name", sorted(
    f.name for f in MODELS.iterdir() if (f / "model.safetensors").exists()))  # fmt: skip
def test_every_module_of_every_family_is_that_of_the_merged_weights(name, tmp_path):
    lora, folder, changed = adapt(MODELS / name, tmp_path, unused=UNUSED.get(name))
    model = chiasm.load(MODELS / name, dtype="float32", lora=lora)
    assert model.adapters[0].modules == changed > 0
    prompt, media = "How many people are there?", {}
    if model.info.image_token:
        media = {"images": [str(PICTURES / "wide.png")]}
    elif model.info.audio_token:
        media = {"audio": [str(GOLDEN / "audio" / "sounds" / "speech.flac")]}
    want = chiasm.load(folder, dtype="float32").logits(prompt, **media)
    assert error(model.logits(prompt, **media), want) < 1e-5
    assert error(model.logits(prompt, adapter="", **media), want) > 0.05


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_one_batch_holds_many_adapters(dtype):
    """Each request's answer and log-probabilities are bit for bit those it has alone."""
    model = chiasm.load(MODELS / "smolvlm_2x2", dtype=dtype, lora={
        "towers": LORA / "smolvlm_towers", "words": LORA / "smolvlm_words"})  # fmt: skip
    pictures = [str(PICTURES / f"{n}.png") for n in ("wide", "tall", "square", "dot")]
    jobs = [(p, a) for p in pictures for a in ("", "towers", "words")]

    def ask(loaded, picture, adapter):
        prompt = "<image>What is this?"
        out = loaded.generate(
            prompt, images=[picture], max_tokens=9, adapter=adapter, logprobs=2, ignore_eos=True
        )
        return out.token_ids, [(t.logprob, t.top) for t in out.logprobs]

    alone = {}
    for job in jobs:
        fresh = chiasm.load(MODELS / "smolvlm_2x2", dtype=dtype)
        if job[1]:
            fresh.load_adapter(job[1], LORA / f"smolvlm_{job[1]}")
        alone[job] = ask(fresh, *job)
    assert len({str(answer) for answer in alone.values()}) == len(jobs)
    for _ in range(2):  # the second time with everything in the caches
        got = {}
        threads = [
            threading.Thread(target=lambda job=job: got.update({job: ask(model, *job)})) for job in jobs
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert got == alone


def test_caches_tell_adapters_apart(llama):
    words = "How many people are there in 1234 pictures, or none? " * 5

    def cached(adapter):
        return llama.generate(words, max_tokens=1, adapter=adapter).usage.cached_tokens

    assert [cached("all"), cached("patterns"), cached("")] == [0, 0, 0]
    assert all(cached(name) > 50 for name in ("all", "patterns", ""))
    llama.load_adapter("all", LORA / "llama_patterns")  # the same name, other weights
    assert cached("all") == 0


def test_pictures_are_encoded_anew_only_where_the_encoder_changes():
    model = chiasm.load(MODELS / "smolvlm_2x2", dtype="float32", lora={
        "towers": LORA / "smolvlm_towers", "words": LORA / "smolvlm_words"})  # fmt: skip
    assert {a.name: a.changes_encoder for a in model.adapters} == {"towers": True, "words": False}
    picture = [str(PICTURES / "wide.png")]
    for adapter in ("", "words", "towers", "words", "towers"):
        model.generate("<image>", images=picture, max_tokens=1, adapter=adapter)
    stats = model._native.stats()
    assert stats.encoder_misses == 2


def test_choices_scores_streams_and_plans(llama):
    want = golden("llama_all")
    both = llama.choices(want["prompt"], 2, adapter="all", max_tokens=8, ignore_eos=True)
    assert all(out.token_ids == want["greedy"][:8] for out in both)
    words = llama.generate(want["prompt"], adapter="all", max_tokens=8, ignore_eos=True).text
    with llama.stream(want["prompt"], adapter="all", max_tokens=8, ignore_eos=True) as pieces:
        assert "".join(pieces) == words
    scores = [llama.score(want["prompt"], [" no"], adapter=a)[0] for a in ("", "all", "patterns")]
    assert len(set(scores)) == 3
    plan = llama.plan(want["prompt"], adapter="all")
    bare = chiasm.load(MODELS / "llama_gqa", dtype="float32").plan(want["prompt"])
    assert plan.weight_bytes == bare.weight_bytes + sum(a.bytes for a in llama.adapters)
    assert plan.activation_bytes > bare.activation_bytes
    assert plan.peak_bytes > bare.peak_bytes


def test_names_come_and_go(llama):
    assert [a.name for a in llama.adapters] == ["all", "patterns"] and llama.adapter is None
    info = llama.adapters[1]
    assert (info.modules, info.rank, info.path) == (6, 7, str(LORA / "llama_patterns"))
    llama.adapter = "all"
    llama.unload_adapter("all")
    assert llama.adapter is None and [a.name for a in llama.adapters] == ["patterns"]
    with pytest.raises(chiasm.RequestError, match='"all" is not loaded; loaded are: patterns'):
        llama.generate("words", adapter="all")
    with pytest.raises(chiasm.RequestError, match="not loaded"):
        llama.unload_adapter("all")
    with pytest.raises(chiasm.RequestError, match="needs a name"):
        llama.load_adapter("", LORA / "llama_all")


@pytest.fixture
def copy(tmp_path):
    shutil.copytree(LORA / "llama_all", tmp_path / "lora")
    return tmp_path / "lora"


def refused(model, folder, *parts):
    with pytest.raises(chiasm.ModelError) as caught:
        model.load_adapter("x", folder)
    assert all(part in str(caught.value) for part in parts), str(caught.value)
    assert "x" not in [a.name for a in model.adapters]


def test_adapters_of_other_models_name_the_tensor_and_both_shapes(llama, copy):
    refused(chiasm.load(MODELS / "llama_tied"), copy, "lora_", "shape", "expected", "another model")
    refused(llama, LORA / "smolvlm_towers", "connector", "no product", "another model")
    file = copy / "adapter_model.safetensors"
    good = tensors(file)
    name = next(n for n in good if n.endswith("layers.1.mlp.up_proj.lora_B.weight"))
    shape = list(good[name].shape)
    write_tensors(file, good | {name: good[name][:-1]})
    refused(llama, copy, name, f"[{shape[0] - 1}, {shape[1]}]", f"[{shape[0]}, {shape[1]}]")


def test_names_of_older_versions_fit(llama, copy):
    """Older PEFT names the adapter in the file, and older transformers put parts elsewhere."""
    file = copy / "adapter_model.safetensors"
    renamed = {
        name.replace("lora_A.weight", "lora_A.default.weight").replace(
            "base_model.model.model.layers", "base_model.model.language_model.model.layers"
        ): value
        for name, value in tensors(file).items()
    }
    write_tensors(file, renamed)
    llama.load_adapter("old", copy)
    want = golden("llama_all")
    assert np.array_equal(llama.logits(want["ids"], adapter="old"), llama.logits(want["ids"], adapter="all"))


@pytest.mark.parametrize(
    "change, parts",
    [
        ({"use_dora": True}, ["use_dora", "DoRA"]),
        ({"bias": "all"}, ["bias", "all"]),
        ({"modules_to_save": ["lm_head"]}, ["modules_to_save", "merge"]),
        ({"peft_type": "IA3"}, ["IA3", "LORA"]),
        ({"lora_bias": True}, ["lora_bias"]),
        ({"layer_replication": [[0, 1]]}, ["layer_replication"]),
        ({"init_lora_weights": "pissa_niter_4"}, ["pissa", "convert"]),
        ({"r": 5}, ["tells a rank of 5"]),
        ({"r": 0}, ["r is 0"]),
        ({"r": "4"}, ["r"]),
        ({"r": 10**30}, ["r"]),
        ({"lora_alpha": None}, ["lora_alpha"]),
        ({"alpha_pattern": {".*_proj": 2}}, [".*_proj", "regular expressions"]),
        ({"alpha_pattern": {"q_proj": "x"}}, ["no number"]),
        ({"alpha_pattern": {"q_proj": 1, "self_attn.q_proj": 2}}, ["several keys"]),
        ({"alpha_pattern": 3}, ["expected an object"]),
    ],
)
def test_other_kinds_are_refused(llama, copy, change, parts):
    file = copy / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    refused(llama, copy, "adapter", *parts)


def test_damaged_folders_are_refused(llama, copy, tmp_path):
    refused(llama, tmp_path / "none", "no such folder")
    file = copy / "adapter_model.safetensors"
    good, data = tensors(file), file.read_bytes()
    first = next(iter(good))
    for name in ("base_model.model.lm_head.weight", "base_model.model.model.embed_tokens.lora_embedding_A",
                 first.replace("lora_A.weight", "lora_magnitude_vector")):  # fmt: skip
        write_tensors(file, good | {name: good[first]})
        refused(llama, copy, name, "no matrix of a LoRA")
    write_tensors(file, {n: v for n, v in good.items() if n != first})
    refused(llama, copy, "lora_A beside")
    write_tensors(file, good | {first: good[first].reshape(-1)})
    refused(llama, copy, first, "rank")
    write_tensors(file, {})
    refused(llama, copy, "holds no tensors")
    for bytes_ in (b"", data[:100], data[:-1], b"\xff" * 64):
        file.write_bytes(bytes_)
        refused(llama, copy, "adapter_model.safetensors")
    file.unlink()
    (copy / "adapter_model.bin").write_bytes(b"")
    refused(llama, copy, "no adapter_model.safetensors", "save it as safetensors")
    file.write_bytes(data)
    (copy / "adapter_config.json").write_text("{")
    refused(llama, copy, "adapter_config.json")
    (copy / "adapter_config.json").unlink()
    refused(llama, copy, "adapter_config.json")


def test_the_commands():
    want = golden("smolvlm_towers")
    model = chiasm.load(MODELS / want["model"], lora=LORA / "smolvlm_towers")
    common = ("--model", str(MODELS / want["model"]), "--max-tokens", "6")
    towers, words = f"--lora={LORA / 'smolvlm_towers'}", f"--lora=w={LORA / 'smolvlm_words'}"
    picture = want["images"][0]
    said = model.caption(picture, max_tokens=6)
    assert run("caption", picture, *common, towers).stdout == said + "\n"
    assert run("caption", picture, *common, words, towers, "--adapter", "smolvlm_towers").stdout == said + "\n"
    assert run("caption", picture, *common).stdout != said + "\n"
    asked = model.ask(picture, "What?", max_tokens=6)
    assert run("ask", picture, "What?", *common, towers, words).stdout == asked + "\n"
    talk = run("chat", *common, towers, "--json", stdin="Hello\n").stdout
    assert talk != run("chat", *common, "--json", stdin="Hello\n").stdout
    wrong = run("ask", picture, "What?", *common, words, "--adapter", "x", code=1)
    assert "--adapter x" in wrong.stderr and "w" in wrong.stderr
    assert "two of one name" in run("ask", "What?", *common, words, words, code=1).stderr
    assert "no such folder" in run("ask", "What?", *common, "--lora", "none", code=1).stderr


def test_the_server_answers_by_the_adapter_s_name():
    pytest.importorskip("fastapi")
    from serving import serving

    from chiasm.server import Models

    model = chiasm.load(MODELS / "llama_gqa", dtype="float32", lora={"all": LORA / "llama_all"})
    want = golden("llama_all")
    with serving(Models(chat=model, chat_name="base")) as server:

        def call(path, body=None):
            data = None if body is None else json.dumps(body).encode()
            headers = {"content-type": "application/json"}
            with urllib.request.urlopen(
                urllib.request.Request(server.url + path, data, headers)
            ) as answer:
                return json.loads(answer.read())

        assert {m["id"] for m in call("/v1/models")["data"]} == {"base", "all"}
        assert call("/v1/models/all")["id"] == "all"
        body = {"prompt": want["prompt"], "max_tokens": 4, "temperature": 0}
        for name, adapter in (("base", ""), ("all", "all")):
            out = call("/v1/completions", {"model": name, **body})
            told = model.generate(want["prompt"], max_tokens=4, adapter=adapter)
            assert out["model"] == name and out["choices"][0]["text"] == told.text
        with pytest.raises(urllib.error.HTTPError, match="404"):
            call("/v1/completions", {"model": "other", **body})


def test_the_command_line_takes_a_name_before_the_folder():
    code = (
        "from chiasm.cli.options import adapters;"
        "print(adapters(['a=/x/y', '/x/b=c', './d/']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "{'a': '/x/y', 'b=c': '/x/b=c', 'd': './d/'}\n"


@pytest.mark.parametrize("name", sorted(f.name for f in (GOLDEN / "embedders").iterdir() if f.is_dir()))
def test_embedders_are_those_of_the_merged_weights(name, tmp_path):
    """Vectors of length 1 within 1e-5, as of texts and pictures beside their reference."""
    folder = GOLDEN / "embedders" / name
    bert = name.startswith("bert")  # PEFT of a task's model names what wraps the layers
    lora, merged, _ = adapt(
        folder, tmp_path, lambda key: f"bert.{key}" if bert else key, unused="pooler."
    )
    adapted, want, plain = (
        chiasm.load_embedder(f, dtype="float32", **more)
        for f, more in ((folder, {"lora": lora}), (merged, {}), (folder, {}))
    )
    assert adapted.info.lora == str(lora) and plain.info.lora == ""
    assert adapted.info.weight_bytes > plain.info.weight_bytes
    calls = []
    if plain.info.max_tokens:
        calls.append(lambda e: e.embed_text(["a red bicycle", "two words"]))
    if plain.info.patches_per_picture:
        calls.append(lambda e: e.embed_image([str(PICTURES / "wide.png"), str(PICTURES / "dot.png")]))
    assert calls
    for call in calls:
        assert np.abs(call(adapted) - call(want)).max() < 1e-5
        assert np.abs(call(plain) - call(want)).max() > 1e-2


def test_embedders_refuse_other_models_adapters(tmp_path):
    folder = GOLDEN / "embedders" / "bert_mean"
    for lora, why in ((LORA / "llama_all", "no product"), (tmp_path / "none", "no such folder")):
        with pytest.raises(chiasm.ModelError, match=why):
            chiasm.load_embedder(folder, lora=lora)


def test_embed_takes_an_adapter(tmp_path):
    folder = GOLDEN / "embedders" / "bert_mean"
    lora, merged, _ = adapt(folder, tmp_path, unused="pooler.")
    got = run("embed", "--model", str(folder), "--text", "a red bicycle", "--json", "--lora", str(lora))
    want = run("embed", "--model", str(merged), "--text", "a red bicycle", "--json")
    rows = [np.array(json.loads(r.stdout)["embedding"]) for r in (got, want)]
    assert np.abs(rows[0] - rows[1]).max() < 1e-2  # the folder's own number format


def test_transcripts_are_those_of_the_merged_weights(tmp_path):
    folder, sound = GOLDEN / "whisper" / "tiny", str(GOLDEN / "audio" / "sounds" / "speech.flac")
    lora, merged, _ = adapt(folder, tmp_path)
    model = chiasm.load(folder, dtype="float32")
    assert model.load_adapter("a", lora).changes_encoder

    def heard(model, **settings):
        out = model.transcribe(sound, language="en", no_speech_threshold=1, **settings)
        assert out.segments
        return [s.token_ids for s in out.segments], [s.avg_logprob for s in out.segments]

    want, plain = heard(chiasm.load(merged, dtype="float32")), heard(model)
    ids, logprobs = heard(model, adapter="a")
    assert ids == want[0] != plain[0]
    assert np.allclose(logprobs, want[1], rtol=0, atol=1e-4)
    model.adapter = "a"
    assert heard(model)[0] == ids and heard(model, adapter="")[0] == plain[0]
    with pytest.raises(chiasm.RequestError, match='"b" is not loaded; loaded are: a'):
        model.transcribe(sound, adapter="b")
    said = [
        run("transcribe", sound, "--model", str(f), "--dtype", "float32", "--language", "en", *more).stdout
        for f, more in ((folder, ("--lora", str(lora))), (merged, ()), (folder, ()))
    ]
    assert said[0] == said[1] != said[2]
