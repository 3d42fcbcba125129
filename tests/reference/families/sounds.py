"""What the goldens of audio language models share: the sounds, and the recording of what the reference
computes with them. One file per family beside this one."""

import json
import pathlib
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
import soundfile
import torch
import transformers
from golden_stages import Golden, greedy
from transformers import AutoTokenizer

from families import base

SPEECH = pathlib.Path(__file__).parents[2] / "golden" / "audio" / "sounds" / "speech.flac"
RATE = 16_000
# Lengths in samples, around the window of 30 s: one sample, the least that Qwen2-Audio hears, ...
LENGTHS = (1, 321, 1_600, 479_840, 480_160, 1_040_000)
MEL_SAMPLES = 400
GREEDY_TOKENS = 24


def sound(offset, samples):
    """So many samples of the spoken sentence over and over, from `offset` on."""
    spoken = soundfile.read(SPEECH, dtype="float32")[0]
    return spoken[(offset + np.arange(samples)) % spoken.size]


@dataclass
class Folder:
    """One golden folder. `make` returns the model; the rest says how to ask it."""

    name: str
    seed: int
    make: Callable  # () -> the model, its weights still as initialised
    load: Callable  # (folder) -> the model in float32
    tokenizer: Callable  # () -> tokenizers.Tokenizer
    tokenizer_config: dict
    extractor: Callable  # () -> the feature extractor
    prepare: Callable  # (extractor, sound) -> arrays by the processor's names
    tokens: Callable  # (arrays) -> rows that a sound takes in the prompt
    inputs: Callable  # (list of arrays) -> keyword arguments of the model
    stages: Callable  # (model, list of arrays, base.Stages)
    placeholder: str
    cases: dict  # name: (prompt, [(offset, samples), ...])
    save: Callable | None = None  # (model, folder), where save_pretrained() is not enough
    greedy: Callable = greedy  # as golden_stages.greedy
    turn: Callable | None = None  # (words, sounds) -> the family's own turn
    too_short: tuple = field(default=())  # lengths that make no token


class Reference:
    def __init__(self, f, folder):
        self.f, self.model = f, f.load(folder).eval()
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.extractor = f.extractor()

    def prepare(self, places):
        return [self.f.prepare(self.extractor, sound(*place)) for place in places]

    def ids(self, prompt, sounds):
        pieces = prompt.split(self.f.placeholder)
        text = pieces[0]
        for arrays, after in zip(sounds, pieces[1:], strict=True):
            text += self.f.placeholder * self.f.tokens(arrays) + after
        return self.tokenizer(text)["input_ids"]


def record_sound(ref, golden, samples):
    arrays = ref.f.prepare(ref.extractor, sound(0, samples))
    kept = {}
    for name, value in arrays.items():
        if value.dtype.kind == "f":
            kept[name] = golden.add(f"{samples}/{name}", torch.as_tensor(value), MEL_SAMPLES)
        else:
            kept[name] = {"shape": list(value.shape), "sum": int(value.sum())}
    return {"samples": samples, "arrays": kept, "tokens": ref.f.tokens(arrays)}


def score(model, ids, more, answer):
    """Total log-probability of the answer after the prompt."""
    all_ids = torch.tensor([ids + answer])
    with torch.inference_mode():
        out = model(input_ids=all_ids, attention_mask=torch.ones_like(all_ids), **more)
    logits = out.logits[0, len(ids) - 1 : -1].double()
    return float(torch.log_softmax(logits, -1)[range(len(answer)), answer].sum())


def record_case(ref, golden, name, prompt, places):
    sounds = ref.prepare(places)
    ids = ref.ids(prompt, sounds)
    more = ref.f.inputs(sounds) if sounds else {}
    inputs = {"input_ids": torch.tensor([ids]), "attention_mask": torch.ones(1, len(ids), dtype=int), **more}
    stages = SimpleNamespace(stages=lambda model, record: ref.f.stages(model, sounds, record))
    with torch.inference_mode(), base.Stages(stages, ref.model) as recorded:
        recorded.keep("logits", ref.model(**inputs).logits)
    kept = {}
    for stage, values in recorded.values.items():
        main = stage in ("audio.out", "projector.out", "logits")
        kept[stage] = golden.add(
            f"{name}/{stage}", values, base.MAIN_SAMPLES if main else base.INNER_SAMPLES
        )
    tokens, margin = ref.f.greedy(ref.model, inputs, GREEDY_TOKENS, eos_token_id=None)
    penalized, penalized_margin = ref.f.greedy(
        ref.model, inputs, GREEDY_TOKENS, eos_token_id=None, repetition_penalty=1.3
    )
    for what, value in ((name, margin), (f"{name}, penalty", penalized_margin)):
        if value < base.SMALLEST_MARGIN:
            print(f"  {what}: smallest margin {value:.1e} is close to float32 noise")
    answers = [ref.tokenizer(a, add_special_tokens=False)["input_ids"] for a in base.ANSWERS]
    return {
        "name": name,
        "prompt": prompt,
        "images": [],
        "sounds": [list(place) for place in places],
        "ids": ids,
        "stages": kept,
        "greedy": tokens,
        "greedy_margin": margin,
        "greedy_text": ref.tokenizer.decode(tokens, skip_special_tokens=True),
        "penalized": penalized,
        "penalized_margin": penalized_margin,
        "scores": [score(ref.model, ids, more, a) for a in answers],
    }


def build(f, folder):
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    model = f.make().eval()
    base.randomise(model, f.seed)
    model.to(torch.bfloat16)
    (f.save or (lambda m, to: m.save_pretrained(to)))(model, folder)
    (folder / "model.safetensors").chmod(0o644)
    base.tokenizers.write(f.tokenizer(), folder, f.tokenizer_config)
    f.extractor().save_pretrained(folder)
    for name in ("generation_config.json", "processor_config.json"):
        (folder / name).unlink(missing_ok=True)


def make(f):
    folder = base.ROOT / f.name
    print(f.name)
    build(f, folder)
    ref, golden = Reference(f, folder), Golden()
    lengths = [n for n in LENGTHS if n not in f.too_short]
    cases = [record_case(ref, golden, name, *case) for name, case in f.cases.items()]
    record = {
        "family": json.loads((folder / "config.json").read_text())["model_type"],
        "dtype": "bfloat16",
        "answers": base.ANSWERS,
        "pictures": [],
        "sounds": [record_sound(ref, golden, n) for n in lengths],
        "too_short": list(f.too_short),
        "cases": cases,
        "ends": base.choose_end_tokens(ref_ends(ref), folder, cases[0]),
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
    }
    if f.turn:
        words, places = "What is it?", [[0, 1_600], [5_000, 3_000]]
        ids = ref.ids(f.turn(words, len(places)), ref.prepare(places))
        if ids[:2] == [ref.tokenizer.bos_token_id] * 2:
            ids = ids[1:]
        record["turn"] = {"words": words, "images": [], "sounds": places, "ids": ids}
    base.save(folder, golden, record)


def ref_ends(ref):
    return SimpleNamespace(f=SimpleNamespace(end=""), tokenizer=ref.tokenizer)
