"""`chiasm.verify`: Chiasm beside transformers on the weights in hand."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pathlib
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from chiasm import _hub
from chiasm._options import integer
from chiasm._verify import child
from chiasm._verify import job as jobs
from chiasm._verify.checks import BOUNDS, Check
from chiasm._verify.run import compare
from chiasm._verify.seen import FILE, Seen
from chiasm.errors import ModelError, RequestError


@dataclasses.dataclass(frozen=True)
class Report:
    """What a comparison found."""

    model: str
    family: str
    dtype: str
    versions: dict[str, str]
    """Of torch and transformers, or of llama-cpp-python."""
    checks: list[Check]

    @property
    def passed(self) -> bool:
        return bool(self.checks) and all(check.passed for check in self.checks)

    def as_dict(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "family": self.family,
            "dtype": self.dtype,
            "versions": self.versions,
            "passed": self.passed,
            "checks": [check.as_dict() for check in self.checks],
        }


def verify(
    name_or_path: str | os.PathLike[str] | None = None,
    *,
    images: Sequence[str] = (),
    audio: Sequence[str] = (),
    prompts: Sequence[str] = (),
    dtype: str = "float32",
    tokens: int = 32,
    threads: int | None = None,
    python: str | None = None,
    reference: str | os.PathLike[str] | None = None,
    keep: str | os.PathLike[str] | None = None,
    revision: str | None = None,
    offline: bool = False,
    step: Callable[[str], None] = lambda what: None,
) -> Report:
    """Runs transformers and Chiasm on the same weights and compares every stage: arrays of the
    processor, prompt tokens, encoder, projector, decoder, logits and greedy tokens, or vectors.

    transformers runs first, in a process of its own that ends before Chiasm loads; it does float32
    arithmetic, on weights rounded to `dtype`. GGUF files are compared with llama.cpp: prompt tokens, logits
    and greedy tokens of their words.

    Args:
        name_or_path: A Hugging Face folder, hub id or .gguf file; None: the bundled model.
        images: Picture files instead of the built-in pictures; all in one prompt.
        audio: Sound files likewise. Chiasm decodes them for both.
        prompts: Words instead of the built-in ones; of embedders the texts.
        dtype: "float32", "bfloat16" or "float16"; a GGUF file has its own.
        tokens: Greedy tokens to compare.
        threads: CPU threads of both; None: all.
        python: The Python that has torch and transformers, or llama-cpp-python; None: this one.
        reference: A folder that an earlier call kept: nothing is run but Chiasm.
        keep: A folder to keep what transformers saw in; new or empty.
        revision, offline: As for `load`.
        step: Hears what is being done.

    Raises:
        ModelError: The model is missing, or of a family that cannot be compared.
        RequestError: torch, transformers or llama-cpp-python are missing, or a setting is out of range.
        MediaError: A picture or a sound cannot be read.
        Error: transformers or llama.cpp failed; with its own words.
    """
    if dtype not in BOUNDS:
        raise RequestError(f"dtype {dtype!r}: expected {', '.join(BOUNDS)}")
    integer("tokens", tokens, 1, 4096)
    folder = _hub.find_model(name_or_path, revision=revision, offline=offline)
    gguf = folder.suffix == ".gguf"
    if gguf and dtype != "float32":
        raise RequestError(f"dtype {dtype!r}: a GGUF file keeps its own number formats; leave it out")
    with _folder(reference, keep) as place:
        if reference is None:
            job = jobs.make(
                folder,
                place,
                dtype=dtype,
                tokens=tokens,
                threads=threads,
                images=images,
                audio=audio,
                prompts=prompts,
            )
            python = python or sys.executable
            child.check(python, job["kind"])
            child.run(python, job, step)
        seen = Seen(place)
        family = jobs.family_of(folder)
        if family != seen["job"]["family"]:
            raise ModelError(
                f'{folder}: family "{family}", the reference ran "{seen["job"]["family"]}"'
            )
        dtype = seen["job"]["dtype"]
        own = {"mmproj": "none"} if gguf else {"dtype": dtype}
        load = {"threads": threads, "device": "cpu", **own}
        checks = list(compare(seen, str(folder), load, step))
        family = seen.get("architecture") or family
        return Report(str(folder), family, dtype, seen["versions"], checks)


@contextlib.contextmanager
def _folder(reference: Any, keep: Any) -> Iterator[pathlib.Path]:
    """Where the reference's files lie. A temporary folder is taken away whatever happens."""
    if reference is not None:
        yield pathlib.Path(reference)
        return
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="chiasm-verify-") as name:
            yield pathlib.Path(name)
        return
    place = pathlib.Path(keep)
    if place.exists() and (not place.is_dir() or any(place.iterdir())):
        raise RequestError(f"--keep {place}: exists and is no empty folder")
    made = not place.exists()
    place.mkdir(parents=True, exist_ok=True)
    try:
        yield place
    finally:
        if made and not (place / FILE).exists():  # nothing half-done is left behind
            shutil.rmtree(place, ignore_errors=True)


__all__ = ["Check", "Report", "verify"]
