"""One line of a report, and the measures behind it."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import numpy.typing as npt

# Relative L2, as everywhere in the project's tests. Logits of small models in float32 are 5e-7 to
# 2e-6 from those in float64, so that 1e-4 is far from the noise and close enough to see any mistake;
# weights of 16 bits have activations rounded to 8 bits of fraction on the way.
BOUNDS = {"float32": 1e-4, "bfloat16": 1e-2, "float16": 1e-2}
# Of GGUF files, beside llama.cpp: its tanh-GELU is a table in float16 (2e-4 of gpt2's logits). Blocks
# are multiplied with activations in 8 bits, which the two round otherwise: 1.4e-2 to 4.5e-2 of the logits
# of SmolLM2-135M in Q4_1, 3.3e-2 in Q8_0, where float16 is at 4e-3. A wrong layout is at 0.5 and more.
GGUF_BOUNDS = {"float32": 1e-3, "bfloat16": 1e-2, "float16": 1e-2, "blocks": 1e-1}
# Of Gemma's decoders, whose scale of word rows is itself rounded, and of Mistral 3, where
# transformers' own bfloat16 is at 1.9e-2.
WIDER = {"bfloat16": 1.3e-2}
WIDER_FAMILIES = ("gemma", "gemma2", "gemma3", "gemma3_text", "paligemma", "colpali", "mistral3")
# Log-mel features: bins far under the loudest carry the rounding of the reference's float32 FFT.
FEATURES = 2e-5
# Pixels: one 8-bit level in this share of the values.
SHARE = 1e-3


VECTORS = {"float32": 1e-5}  # of length 1: the last layers' rounding is averaged away


def bound_of(family: str, dtype: str, stage: str) -> float:
    if family == "gguf":
        return GGUF_BOUNDS[dtype]
    if stage == "vector" and dtype in VECTORS:
        return VECTORS[dtype]
    wider = WIDER.get(dtype) if family in WIDER_FAMILIES else None
    return wider or BOUNDS[dtype]


@dataclasses.dataclass
class Check:
    """One stage of one input, compared."""

    stage: str
    """preprocessing, prompt, encoder, projector, decoder, logits, greedy tokens, vector, ..."""
    of: str
    """Which picture, sound, prompt or text."""
    error: float
    """In the unit that `measure` names; infinite where shapes differ or numbers are none."""
    bound: float
    measure: str
    passed: bool
    note: str = ""

    def as_dict(self) -> dict[str, Any]:
        row = dataclasses.asdict(self)
        if not math.isfinite(self.error):
            row["error"] = None
        return row


class Distance:
    """Relative L2 of rows that come piece by piece from those of the reference. NaN and a wrong
    number of rows make it infinite."""

    def __init__(self, want: npt.NDArray[np.float32]):
        self._want, self._at = want, 0
        self._off = self._all = 0.0
        self._fits = True
        self.largest = 0.0
        self.worst_row = 0

    def add(self, rows: npt.NDArray[np.float32]) -> None:
        end = self._at + rows.shape[0]
        self._fits &= rows.shape[1:] == self._want.shape[1:] and end <= self._want.shape[0]
        if self._fits:
            want = self._want[self._at : end].astype(np.float64)
            off = np.abs(rows.astype(np.float64) - want)
            self._off += float((off * off).sum())
            self._all += float((want * want).sum())
            if off.size and not off.max() <= self.largest:
                self.largest = float(off.max())
                self.worst_row = self._at + int(off.max(axis=1).argmax())
        self._at = end

    @property
    def error(self) -> float:
        if not self._fits or self._at != self._want.shape[0]:
            return math.inf
        error = math.sqrt(self._off / self._all) if self._all > 0 else math.sqrt(self._off)
        return error if math.isfinite(error) else math.inf

    @property
    def shapes(self) -> str:
        """What does not fit, if anything."""
        if self._fits and self._at == self._want.shape[0]:
            return ""
        columns = self._want.shape[1]
        return f"{self._at} rows here, [{self._want.shape[0]}, {columns}] in the reference"


def rows_distance(got: npt.NDArray[Any], want: npt.NDArray[np.float32]) -> Distance:
    distance = Distance(want.reshape(-1, want.shape[-1]))
    distance.add(got.reshape(-1, got.shape[-1]).astype(np.float32))
    return distance


def array_check(
    of: str, name: str, got: npt.NDArray[Any] | None, want: npt.NDArray[Any], std: Any
) -> Check:
    """An array of a processor: whole numbers equal; pixels one 8-bit level off in few values;
    features of sounds by relative L2."""

    def made(error: float, bound: float, measure: str, passed: bool, note: str = "") -> Check:
        return Check(f"preprocessing: {name}", of, error, bound, measure, passed, note)

    if got is None:
        return made(math.inf, 0, "values that differ", False, "Chiasm makes no such array")
    if got.shape != want.shape:
        text = f"{list(got.shape)} here, {list(want.shape)} in the reference"
        return made(math.inf, 0, "values that differ", False, text)
    if want.dtype.kind != "f":
        wrong = int((got != want).sum())
        return made(wrong, 0, "values that differ", wrong == 0)
    if name == "input_features":
        error = rows_distance(got, want).error
        return made(error, FEATURES, "relative L2", error <= FEATURES)
    level = 1 / (255 * max(std)) if std else 1 / 255
    off = np.abs(got.astype(np.float64) - want)
    # Rounding of the normalisation is far under a tenth of a level.
    share = float((~(off <= level / 10)).mean())
    levels = float(off.max() * 255 * max(std or [1])) if off.size else 0.0
    note = "equal" if share == 0 else f"at most {levels:.1f} levels of 255"
    return made(share, SHARE, "share of values off", share <= SHARE and levels < 1.5, note)


def tokens_check(
    of: str, got: list[int], want: list[int], leads: list[float], largest: float
) -> Check:
    """Greedy tokens: equal, or parted where the reference's own choice led by no more than what the
    logits are apart (each of two may have moved by `largest`)."""
    part = next((i for i, (a, b) in enumerate(zip(got, want)) if a != b), None)
    if part is None and len(got) != len(want):
        part = min(len(got), len(want))
    if part is None:
        note = f"{len(want)} of {len(want)} equal"
        if leads:
            note += f", smallest lead {min(leads):.1e} logits"
        return Check("greedy tokens", of, 0, 0, "tokens that differ", True, note)
    lead = leads[part] if part < len(leads) else math.inf
    tie = lead <= 2 * largest
    note = f"equal for {part} of {len(want)}; there the reference's choice leads by {lead:.1e} logits"
    if tie:
        note += f", a tie: logits are up to {largest:.1e} apart"
    return Check("greedy tokens", of, len(want) - part, 0, "tokens that differ", tie, note)


def figure(value: float) -> str:
    """An error as people read it."""
    if not math.isfinite(value):
        return "-"
    return f"{int(value)}" if value == int(value) else f"{value:.1e}"
