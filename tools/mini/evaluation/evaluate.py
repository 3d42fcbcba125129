"""The table of the README: exact answers by task, on pictures that training never saw."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from ..export import WEIGHTS
from ..pictures.mixture import VALIDATION, validation_pictures
from ..pictures.photos import Photos
from ..pictures.sample import Sample
from ..pictures.texts import draw_sign
from ..questions.ask import ask, subject
from ..questions.phrasing import Turn
from .backends import BACKENDS, Backend
from .table import markdown

BATCH = 64
SHARES = {  # pictures of each kind, times --pictures, and questions about each
    "photo": (1.0, 3),
    "scene": (1.0, 3),
    "text": (0.6, 2),
    "chart": (0.4, 3),
    "display": (0.2, 2),
}
SCENE_TOPICS = {"scene caption", "shape", "counting", "colour", "relation", "size", "scene yes/no"}
PHOTO_QUESTION, READ_QUESTION = "What is in this picture?", "What does the sign say?"
LONGEST_WORD, SMALLEST_WORD = 10, 14  # letters; pixels per em
SCORED = 250  # question and answer pairs of each kind of picture whose likelihood is taken


@dataclass
class Exam:
    """Everything that is asked, drawn once and the same for every runtime and precision."""

    samples: dict[str, list[Sample]]
    asked: dict[str, list[tuple[Sample, Turn]]]
    signs: list[Sample]  # one word each

    @classmethod
    def draw(cls, data: Path, pictures: int) -> "Exam":
        """`pictures` photographs and scenes, and their share of the other kinds."""
        photos = Photos(data)
        rng = np.random.default_rng(VALIDATION)
        samples = {
            kind: validation_pictures(photos, kind, max(int(pictures * share), 1))
            for kind, (share, _) in SHARES.items()
        }
        asked = {
            kind: [(sample, ask(rng, sample)) for sample in part for _ in range(SHARES[kind][1])]
            for kind, part in samples.items()
        }
        return cls(samples, asked, _words(pictures))


def _words(count: int) -> list[Sample]:
    """Signs with one held-out or made-up word of up to ten letters, not too small."""
    signs: list[Sample] = []
    number = 0
    while len(signs) < count:
        sample = draw_sign(np.random.default_rng((VALIDATION, 7, number)), held_out=True)
        (word, *others), size = sample.facts["lines"], sample.facts["size"]
        if not others and word.isalpha() and len(word) <= LONGEST_WORD and size >= SMALLEST_WORD:
            signs.append(sample)
        number += 1
    return signs


def evaluate(
    folder: Path, data: Path, backend: str, dtypes: list[str], pictures: int, output: Path | None
) -> None:
    """Measures each precision and prints the table; writes it as JSON where `output` is given."""
    exam = Exam.draw(data, pictures)
    record = {
        "backend": backend,
        "pictures": pictures,
        "weights": hashlib.blake2b((folder / WEIGHTS).read_bytes(), digest_size=16).hexdigest(),
        "figures": {},
    }
    first: dict[str, list[str]] = {}
    for dtype in dtypes:
        runtime = BACKENDS[backend](folder, dtype)
        answers = {
            kind: list(_answers(runtime, *_questions(pairs), f"{dtype}: {kind}"))
            for kind, pairs in exam.asked.items()
        }
        first = first or answers
        record["figures"][dtype] = _measure(runtime, exam, answers, dtype) | _same(answers, first)
        if output:
            output.parent.mkdir(parents=True, exist_ok=True)
            output.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    print(markdown(record))


def _measure(
    runtime: Backend, exam: Exam, answers: dict[str, list[str]], label: str
) -> dict[str, dict]:
    """`share` right (or `nats`) and `count` of what was asked, by the name of the figure."""
    figures = {topic: _figure(exact) for topic, exact in _topics(exam, answers).items()}
    figures["photo class"] = _figure(_photo_class(runtime, exam.samples["photo"], label))
    exact, near = _reading(runtime, exam.signs, label)
    figures["reading exact"], figures["reading characters"] = _figure(exact), _figure(near)
    figures |= {name: _figure(hits) for name, hits in _search(runtime, exam.samples).items()}
    for kind, pairs in exam.asked.items():
        scored = [
            runtime.nats(Image.fromarray(sample.image), turn.question, turn.answer)
            for sample, turn in tqdm(pairs[:SCORED], desc=f"{label}: likelihood, {kind}")
        ]
        if None not in scored:
            nats, tokens = (sum(part) for part in zip(*scored))
            figures[f"nats {kind}"] = {"nats": nats / tokens, "count": tokens}
    return figures


def _figure(hits: list) -> dict:
    return {"share": float(np.mean(hits)), "count": len(hits)}


def _answers(
    runtime: Backend, samples: list[Sample], questions: list[str], label: str
) -> Iterator[str]:
    for start in tqdm(range(0, len(samples), BATCH), desc=label):
        part = [Image.fromarray(sample.image) for sample in samples[start : start + BATCH]]
        yield from runtime.ask(part, questions[start : start + BATCH])


def _questions(pairs: list[tuple[Sample, Turn]]) -> tuple[list[Sample], list[str]]:
    return [sample for sample, _ in pairs], [turn.question for _, turn in pairs]


def _topics(exam: Exam, answers: dict[str, list[str]]) -> dict[str, list[bool]]:
    """Exact match by topic; all questions about what a scene shows also together."""
    right = defaultdict(list)
    for kind, pairs in exam.asked.items():
        for (_, turn), answer in zip(pairs, answers[kind]):
            right[turn.topic].append(answer == turn.answer)
            if kind == "scene" and turn.topic in SCENE_TOPICS:
                right["scene questions"].append(answer == turn.answer)
    return right


def _same(answers: dict[str, list[str]], first: dict[str, list[str]]) -> dict[str, dict]:
    """How many answers, right or wrong, are those of the first precision."""
    pairs = [pair for kind in answers for pair in zip(answers[kind], first[kind])]
    return {"same answers": _figure([ours == theirs for ours, theirs in pairs])}


def _photo_class(runtime: Backend, samples: list[Sample], label: str) -> list[bool]:
    questions = [PHOTO_QUESTION] * len(samples)
    answers = _answers(runtime, samples, questions, f"{label}: photo class")
    return [answer == f"A photo of {subject(sample)}." for sample, answer in zip(samples, answers)]


def _reading(runtime: Backend, samples: list[Sample], label: str) -> tuple[list[bool], list[float]]:
    """Of each word: whether it is read exactly, and the share of its characters in order."""
    exact, near = [], []
    questions = [READ_QUESTION] * len(samples)
    for sample, answer in zip(samples, _answers(runtime, samples, questions, f"{label}: reading")):
        text, read = sample.facts["lines"][0], answer.strip('"')
        exact.append(read == text)
        same = SequenceMatcher(None, text, read, autojunk=False).get_matching_blocks()
        near.append(sum(block.size for block in same) / max(len(text), len(read)))
    return exact, near


def _search(runtime: Backend, kinds: dict[str, list[Sample]]) -> dict[str, list[bool]]:
    """Recall@5: a picture with the right subject is among the five nearest to its words, of all
    pictures of all kinds."""
    samples = [sample for part in kinds.values() for sample in part]
    subjects = [subject(sample) for sample in samples]
    pictures = np.concatenate(
        [
            runtime.embed_pictures(
                [Image.fromarray(sample.image) for sample in samples[start : start + BATCH]]
            )
            for start in range(0, len(samples), BATCH)
        ]
    )
    found = defaultdict(list)
    names = sorted({(name, sample.kind) for name, sample in zip(subjects, samples)})
    texts = runtime.embed_texts([name for name, _ in names])
    for (name, kind), scores in zip(names, texts @ pictures.T):
        hit = any(subjects[near] == name for near in np.argsort(-scores)[:5])
        found[f"search@5 {kind}"].append(hit)
        found["search@5"].append(hit)
    return found
