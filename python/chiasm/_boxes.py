"""Boxes and points that models print, in pixels of the original picture.

Each family has its own words and its own unit:

- Qwen2-VL: `<|object_ref_start|>a dog<|object_ref_end|><|box_start|>(x,y),(x,y)<|box_end|>`, one
  pair for a point; thousandths of the picture's sides (arXiv:2409.12191).
- Qwen2.5-VL: JSON objects with "bbox_2d" or "point_2d" and "label"; pixels of the picture as its
  processor resized it (arXiv:2502.13923).
- Qwen3-VL: the same objects; thousandths of the sides (the model's own 2D grounding cookbook).
- InternVL: `<ref>a dog</ref><box>[[left, top, right, bottom], ...]</box>`; thousandths of the sides
  (arXiv:2404.16821).
- PaliGemma: `<loc0012><loc0034><loc0560><loc0780> a dog ; ...`, top, left, bottom, right in 1024ths
  of the sides (arXiv:2407.07726).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeGuard

from chiasm.errors import RequestError


class Box(NamedTuple):
    """A rectangle in pixels of a picture, from its top left corner; sides need not be whole."""

    label: str
    """What the model calls it; empty where it says nothing."""
    left: float
    top: float
    right: float
    bottom: float


class Point(NamedTuple):
    """A place in pixels of a picture, from its top left corner."""

    label: str
    x: float
    y: float


class Sizes(NamedTuple):
    """Pixels of an upright picture, and of the same as the model's processor resizes it."""

    width: int
    height: int
    resized_width: int
    resized_height: int


class _Place(NamedTuple):
    """What a model printed, x before y, in its own unit."""

    label: str
    numbers: tuple[float, ...]
    """Four of a box, two of a point."""


_QWEN2 = re.compile(
    r"<\|object_ref_start\|>(?P<label>[^<]*)<\|object_ref_end\|>"
    r"|<\|box_start\|>\s*\(([0-9]{1,4})\s*,\s*([0-9]{1,4})\)"
    r"(?:\s*,\s*\(([0-9]{1,4})\s*,\s*([0-9]{1,4})\))?\s*<\|box_end\|>"
)
_INTERNVL = re.compile(r"<ref>(?P<label>[^<]*)</ref>|<box>(?P<boxes>[^<]*)</box>")
_PALIGEMMA = re.compile(
    r"<loc([0-9]{4})>" * 4 + r"\s*(?:<seg[0-9]{3}>\s*)*(?P<label>[^;<\n]*)"
)


def _labelled(pattern: re.Pattern[str], text: str) -> Iterator[tuple[str, re.Match[str]]]:
    """What `pattern` finds besides labels, each with the label that stands right before it."""
    label, end = "", 0
    for found in pattern.finditer(text):
        if text[end : found.start()].strip(" ,\n"):  # the label was of something else
            label = ""
        end = found.end()
        if found["label"] is not None:
            label = found["label"].strip()
        else:
            yield label, found


def _qwen2(text: str) -> Iterator[_Place]:
    for label, found in _labelled(_QWEN2, text):
        yield _Place(label, tuple(float(n) for n in found.groups()[1:] if n is not None))


def _internvl(text: str) -> Iterator[_Place]:
    for label, found in _labelled(_INTERNVL, text):
        try:
            boxes = json.loads(found["boxes"])
        except (ValueError, RecursionError):
            continue
        for numbers in boxes if isinstance(boxes, list) else ():
            if _are_numbers(numbers, 4):
                yield _Place(label, tuple(map(float, numbers)))


def _paligemma(text: str) -> Iterator[_Place]:
    for found in _PALIGEMMA.finditer(text):
        top, left, bottom, right = (float(n) for n in found.groups()[:4])
        yield _Place(found["label"].strip(), (left, top, right, bottom))


def _json(text: str) -> Iterator[_Place]:
    """Of all objects in a text, those inside others too; broken ones are passed over, so that an
    answer cut off in a list gives what is whole in it."""
    reader = json.JSONDecoder(strict=False)  # a label may hold a line feed
    at = text.find("{")
    while at >= 0:
        try:
            value, at = reader.raw_decode(text, at)
        except (ValueError, RecursionError):
            at += 1
        else:
            yield from _in_json(value)
        at = text.find("{", at)


def _in_json(outermost: Any) -> Iterator[_Place]:
    waiting = [outermost]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting += reversed(value)
        if not isinstance(value, dict):
            continue
        label = next((v for k in ("label", "text_content") if isinstance(v := value.get(k), str)), "")
        for key, count in (("bbox_2d", 4), ("point_2d", 2)):
            numbers = value.get(key)
            if _are_numbers(numbers, count):
                yield _Place(label, tuple(map(float, numbers)))
        waiting += reversed(list(value.values()))


def _are_numbers(value: Any, count: int) -> TypeGuard[list[float]]:
    return isinstance(value, list) and len(value) == count and all(map(_sane, value))


def _sane(number: Any) -> bool:
    """No NaN, and nothing that a float cannot hold."""
    return isinstance(number, (int, float)) and abs(number) < 1e6 and not isinstance(number, bool)


_Reader = Callable[[str], Iterator[_Place]]
_FAMILIES: dict[str, tuple[_Reader, int | None]] = {
    "qwen2_vl": (_qwen2, 1000),
    "qwen2_5_vl": (_json, None),
    "qwen3_vl": (_json, 1000),
    "internvl": (_internvl, 1000),
    "paligemma": (_paligemma, 1024),
}
"""How a family prints, and how many of its units a side has; None: pixels of the resized one."""


def check_family(family: str) -> None:
    """RequestError for families that print no boxes, or none in a way that is known here."""
    if family not in _FAMILIES:
        known = ", ".join(_FAMILIES)
        raise RequestError(f"family {family}: how it prints boxes is not known; known are: {known}")


def read_places(family: str, text: str, sizes: Sizes) -> tuple[list[Box], list[Point]]:
    """The boxes and points in an answer, special tokens included in it, in the order in which they
    stand there. What reaches over the picture's edge is cut there; what is malformed, turned round
    or wholly outside is left out."""
    check_family(family)
    reader, units = _FAMILIES[family]
    wide = sizes.width / (units or sizes.resized_width)
    high = sizes.height / (units or sizes.resized_height)
    boxes, points = [], []
    for label, numbers in reader(text):
        x, y = numbers[0] * wide, numbers[1] * high
        right, bottom = numbers[-2] * wide, numbers[-1] * high
        if right < max(x, 0) or bottom < max(y, 0) or x > sizes.width or y > sizes.height:
            continue
        if len(numbers) == 4:
            boxes.append(
                Box(label, max(x, 0), max(y, 0), min(right, sizes.width), min(bottom, sizes.height))
            )
        else:
            points.append(Point(label, x, y))
    return boxes, points
