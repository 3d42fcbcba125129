"""Chiasm's side: the same inputs, each stage compared as it is computed."""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import chiasm
from chiasm import _chiasm, _media
from chiasm._options import generate_options
from chiasm._verify.checks import (
    Check,
    Distance,
    array_check,
    bound_of,
    tokens_check,
)
from chiasm._verify.media import RATE
from chiasm._verify.seen import Seen

Step = Callable[[str], None]
# What people know the stages as; whatever lies between is named where it departs first.
_SHOWN = {
    "vision.out": "encoder",
    "audio.out": "encoder",
    "text.out": "encoder",
    "projector.out": "projector",
    "decoder.norm": "decoder",
    "logits": "logits",
    "vector": "vector",
}


def compare(seen: Seen, model: str, load: dict[str, Any], step: Step) -> Iterator[Check]:
    """The checks of all media and cases, in the order of computing."""
    if seen["job"]["kind"] == "embedder":
        yield from _vectors(seen, model, load, step)
    elif seen["job"]["kind"] == "retriever":
        yield from _many_vectors(seen, model, load, step)
    else:
        yield from _answers(seen, model, load, step)


def _path(seen: Seen, kind: str, name: str) -> pathlib.Path:
    medium = next(m for m in seen["job"][kind] if m["name"] == name)
    # What --keep kept lies beside seen.json, wherever that is now.
    inside = seen.folder / pathlib.Path(medium["file"]).name
    return inside if inside.exists() else pathlib.Path(medium["file"])


def _image(seen: Seen, name: str) -> Any:
    file = _path(seen, "images", name)
    return np.load(file, allow_pickle=False) if file.suffix == ".npy" else file


def _sound(seen: Seen, name: str) -> Any:
    return np.load(_path(seen, "sounds", name), allow_pickle=False), RATE


def _answers(seen: Seen, path: str, load: dict[str, Any], step: Step) -> Iterator[Check]:
    step("loading Chiasm")
    model = chiasm.load(path, **load)
    for medium in seen.get("media") or []:
        step(f"preparing {medium['name']}")
        if medium["kind"] == "images":
            mine = model.preprocess_image(_image(seen, medium["name"]))
        else:
            mine = model.preprocess_audio(*_sound(seen, medium["name"]))
        for entry in medium["arrays"]:
            want = seen.array(entry)
            yield array_check(
                medium["name"], entry["name"], mine.get(entry["name"]), want, seen["image_std"]
            )
    for case in seen["cases"]:
        step(f"running the prompt {case['name']!r}")
        yield from _case(seen, model, case)


def _case(seen: Seen, model: Any, case: dict[str, Any]) -> Iterator[Check]:
    native, name = model._native, case["name"]
    media: dict[str, Any] = {
        "images": _media.image_inputs([_image(seen, n) for n in case["images"]]),
        "audio": _media.sound_inputs([_sound(seen, n) for n in case["sounds"]]),
    }

    def request(tokens: int = 1) -> Any:
        options = generate_options(max_tokens=tokens)
        if seen["job"]["family"] == "whisper":
            return _chiasm.Request([], token_ids=case["ids"], options=options, **media)
        spans = [(case["prompt"], True)]
        return _chiasm.Request(
            spans, add_special_tokens=case["special"], options=options, **media
        )

    ids = list(native.prompt_ids(request()))
    wrong = sum(a != b for a, b in zip(ids, case["ids"])) + abs(len(ids) - len(case["ids"]))
    yield Check(
        "prompt", name, wrong, 0, "tokens that differ", wrong == 0, f"{len(case['ids'])} tokens"
    )
    if wrong:
        return  # whatever follows would only say it again
    distances = _listen(seen, case, native.set_tap, lambda: native.logits(request()))
    yield from _stages(seen, name, case, distances)
    got = list(native.generate(request(seen["job"]["tokens"])).token_ids)
    yield tokens_check(name, got, case["tokens"], case["leads"], distances["logits"].largest)


def _listen(
    seen: Seen, case: dict[str, Any], set_tap: Any, compute: Any
) -> dict[str, Distance]:
    """The distances of a case's stages, in the reference's order, by running `compute`. Its result
    is the last stage where the taps do not tell it whole."""
    distances = {s["name"]: Distance(seen.rows(s)) for s in case["stages"]}
    last = case["stages"][-1]["name"]

    def hear(stage: str, rows: Any) -> None:
        if stage in distances and stage != last:
            distances[stage].add(rows)

    set_tap(hear)
    try:
        result = compute()
    finally:
        set_tap(None)
    distances[last].add(result)
    return distances


def _stages(
    seen: Seen, of: str, case: dict[str, Any], distances: dict[str, Distance]
) -> Iterator[Check]:
    job = seen["job"]
    bounds = {n: bound_of(job["family"], job["dtype"], n) for n in distances}
    first = next((n for n, d in distances.items() if not d.error <= bounds[n]), None)
    for name, distance in distances.items():
        shown = _SHOWN.get(name)
        passed = distance.error <= bounds[name]
        if shown is None and name != first:
            continue
        note = distance.shapes
        if name == first and not note:
            note = f"first to diverge, worst in row {distance.worst_row}"
        elif name == first:
            note = f"first to diverge: {note}"
        title = shown if shown and shown != "encoder" else f"encoder ({name})" if shown else name
        yield Check(title, of, distance.error, bounds[name], "relative L2", passed, note)


def _vectors(seen: Seen, path: str, load: dict[str, Any], step: Step) -> Iterator[Check]:
    step("loading Chiasm")
    known = {k: v for k, v in load.items() if k in ("device", "dtype", "threads")}
    embedder = chiasm.load_embedder(path, **known)
    native = embedder._native
    for case in seen["cases"]:
        step(f"running {case['name']}")

        def compute(case: dict[str, Any] = case) -> Any:
            if "text" in case:
                return embedder.embed_text([case["text"]], prompt="", truncate=True)
            return embedder.embed_image([_image(seen, case["image"])])

        distances = _listen(seen, case, native.set_tap, compute)
        yield from _stages(seen, case["name"], case, distances)


def _many_vectors(seen: Seen, path: str, load: dict[str, Any], step: Step) -> Iterator[Check]:
    step("loading Chiasm")
    retriever = chiasm.load_retriever(path, **load)
    for case in seen["cases"]:
        step(f"running {case['name']}")
        if "text" in case:
            rows = retriever.embed_text([case["text"]])[0]
        else:
            rows = retriever.embed_image([_image(seen, case["image"])])[0]
        distance = Distance(seen.rows(case["stages"][-1]))
        distance.add(rows)
        yield from _stages(seen, case["name"], case, {"vector": distance})
