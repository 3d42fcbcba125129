"""The table of the README: exact answers by task, on pictures that training never saw."""

import json
from collections import defaultdict
from difflib import SequenceMatcher
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from ..pictures.mixture import VALIDATION, validation_pictures
from ..pictures.photos import Photos
from ..pictures.sample import Sample
from ..questions.ask import ask, subject
from .backends import BACKENDS, Backend

BATCH = 32
SIZES = {
    "photo": 1.0,
    "scene": 1.0,
    "text": 0.6,
    "chart": 0.3,
    "display": 0.2,
}  # pictures, times --pictures
SCENE_TOPICS = ("scene caption", "shape", "counting", "colour", "relation", "size", "scene yes/no")
PHOTO_QUESTION, READ_QUESTION = "What is in this picture?", "What does the sign say?"


def evaluate(
    folder: Path, data: Path, backend: str, dtype: str, pictures: int, output: Path | None
) -> dict:
    """Measures and prints the table; writes it as JSON where `output` is given."""
    runtime = BACKENDS[backend](folder, dtype)
    photos = Photos(data)
    samples = {
        kind: validation_pictures(photos, kind, int(pictures * share))
        for kind, share in SIZES.items()
    }
    figures = _topics(runtime, samples)
    figures["photo class"] = _fixed_question(
        runtime, samples["photo"], PHOTO_QUESTION, lambda s: subject(s)
    )
    figures |= _reading(runtime, samples["text"])
    figures["scene questions"] = float(
        np.mean([figures[topic] for topic in SCENE_TOPICS if topic in figures])
    )
    figures |= _search(runtime, [sample for part in samples.values() for sample in part])
    for name, figure in sorted(figures.items()):
        print(f"{name:24} {100 * figure:6.1f} %")
    if output:
        record = {"backend": backend, "dtype": dtype, "pictures": pictures, "figures": figures}
        output.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return figures


def _answers(
    runtime: Backend, samples: list[Sample], questions: list[str], label: str
) -> list[str]:
    answers: list[str] = []
    for start in tqdm(range(0, len(samples), BATCH), desc=label):
        part = [Image.fromarray(sample.image) for sample in samples[start : start + BATCH]]
        answers += runtime.ask(part, questions[start : start + BATCH])
    return answers


def _topics(runtime: Backend, samples: dict[str, list[Sample]]) -> dict[str, float]:
    """Exact match of two random questions for each picture, by topic."""
    right = defaultdict(list)
    rng = np.random.default_rng(VALIDATION)
    for kind, part in samples.items():
        asked = [sample for sample in part for _ in range(2)]
        turns = [ask(rng, sample) for sample in asked]
        for turn, answer in zip(
            turns, _answers(runtime, asked, [turn.question for turn in turns], kind)
        ):
            right[turn.topic].append(answer == turn.answer)
    return {topic: float(np.mean(exact)) for topic, exact in right.items()}


def _fixed_question(runtime: Backend, samples: list[Sample], question: str, wanted) -> float:
    answers = _answers(runtime, samples, [question] * len(samples), "photo class")
    return float(
        np.mean(
            [answer == f"A photo of {wanted(sample)}." for sample, answer in zip(samples, answers)]
        )
    )


def _reading(runtime: Backend, samples: list[Sample]) -> dict[str, float]:
    """Signs with one word of up to ten letters: exact answers, share of characters in place."""
    short = [
        sample
        for sample in samples
        if len(sample.facts["lines"]) == 1 and len(sample.facts["lines"][0]) <= 10
    ]
    answers = _answers(runtime, short, [READ_QUESTION] * len(short), "reading")
    exact, near = [], []
    for sample, answer in zip(short, answers):
        text, read = sample.facts["lines"][0], answer.strip('"')
        exact.append(read == text)
        same = sum(
            block.size
            for block in SequenceMatcher(None, text, read, autojunk=False).get_matching_blocks()
        )
        near.append(same / max(len(text), len(read)))
    return {"reading exact": float(np.mean(exact)), "reading characters": float(np.mean(near))}


def _search(runtime: Backend, samples: list[Sample]) -> dict[str, float]:
    """Recall@5: a picture with the right subject is among the five nearest to its words."""
    subjects = [subject(sample) for sample in samples]
    if runtime.embed_texts(subjects[:1]) is None:
        return {}
    pictures = np.concatenate(
        [
            runtime.embed_pictures(
                [Image.fromarray(sample.image) for sample in samples[start : start + BATCH]]
            )
            for start in range(0, len(samples), BATCH)
        ]
    )
    found = defaultdict(list)
    for name, kind in sorted({(name, sample.kind) for name, sample in zip(subjects, samples)}):
        scores = pictures @ runtime.embed_texts([name])[0]
        found[kind].append(any(subjects[near] == name for near in np.argsort(-scores)[:5]))
    return {f"search@5 {kind}": float(np.mean(hits)) for kind, hits in found.items()}
