"""One object of a drawn scene, and how objects lie to each other: what questions and labels share."""

from collections import Counter
from dataclasses import dataclass

CLEAR = 0.12  # a difference of places, in picture widths, that leaves no doubt
LARGER = 1.3  # a ratio of radii that leaves no doubt
TOWARDS = {"left": ("x", -1), "right": ("x", 1), "above": ("y", -1), "below": ("y", 1)}


@dataclass(frozen=True)
class Thing:
    """One object of a scene; x, y and radius are fractions of the picture."""

    shape: str
    colour: str
    x: float
    y: float
    radius: float

    @property
    def name(self) -> str:
        """Its colour and shape."""
        return f"{self.colour} {self.shape}"

    @property
    def size(self) -> str:
        """The word for its size, or "medium", which no question asks about."""
        return "small" if self.radius < 0.1 else "large" if self.radius > 0.19 else "medium"


def is_unique(things: list[Thing], thing: Thing) -> bool:
    """Whether no other has its name."""
    return sum(other.name == thing.name for other in things) == 1


def groups(things: list[Thing]) -> Counter[tuple[str, str]]:
    """How many things of each colour and shape, in the order of the leftmost of each."""
    return Counter((thing.colour, thing.shape) for thing in sorted(things, key=lambda t: t.x))


def offset(thing: Thing, anchor: Thing, direction: str) -> float:
    """How far `thing` lies from `anchor` in a direction; negative the other way."""
    axis, sign = TOWARDS[direction]
    return sign * (getattr(thing, axis) - getattr(anchor, axis))


def things_towards(things: list[Thing], anchor: Thing, direction: str) -> list[Thing] | None:
    """The others that lie in a direction; None where one of them is not clearly there or not there."""
    offsets = [(offset(thing, anchor, direction), thing) for thing in things if thing is not anchor]
    if any(abs(distance) < CLEAR for distance, _ in offsets):
        return None
    return [thing for distance, thing in offsets if distance > 0]


def outermost(things: list[Thing], direction: str) -> Thing | None:
    """The last thing in a direction, where none is nearly as far."""
    axis, sign = TOWARDS[direction]
    ordered = sorted(things, key=lambda thing: sign * getattr(thing, axis))
    if len(ordered) > 1 and abs(offset(ordered[-1], ordered[-2], direction)) < CLEAR:
        return None
    return ordered[-1]


def extreme_in_size(things: list[Thing], largest: bool) -> Thing | None:
    """The largest or smallest thing, where none is nearly so."""
    ordered = sorted(things, key=lambda thing: thing.radius, reverse=largest)
    if len(ordered) > 1:
        ratio = ordered[0].radius / ordered[1].radius
        if max(ratio, 1 / ratio) < LARGER:
            return None
    return ordered[0]


def third(place: float) -> int | None:
    """0, 1 or 2, the third of the picture; None near a border between thirds."""
    if min(abs(place - 1 / 3), abs(place - 2 / 3)) < 0.04:
        return None
    return int(place * 3)
