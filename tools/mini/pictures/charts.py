"""Bar charts and seven-segment digit displays."""

import numpy as np
from PIL import Image, ImageDraw

from .fonts import draw_font, load_font
from .geometry import GRID, SIDE
from .palette import COLOURS, contrasts, draw_colour
from .sample import PatchLabels, Sample, character_labels, reading_order
from .shapes import SHAPE_NAMES

BAR = len(SHAPE_NAMES) + 1  # the shape label of a patch on a bar, after those of the scenes
SEGMENTS = {  # top, upper right, lower right, bottom, lower left, upper left, middle
    "0": "1111110",
    "1": "0110000",
    "2": "1101101",
    "3": "1111001",
    "4": "0110011",
    "5": "1011011",
    "6": "1011111",
    "7": "1110000",
    "8": "1111111",
    "9": "1111011",
}


def draw_chart(rng: np.random.Generator) -> Sample:
    """A bar chart. facts: `bars`, (letter or "", colour, height from 0 to 1), left to right."""
    paper_name = "white" if rng.random() < 0.8 else "black"
    paper, ink = (
        draw_colour(rng, paper_name),
        (0, 0, 0) if paper_name == "white" else (255, 255, 255),
    )
    canvas = Image.new("RGB", (SIDE, SIDE), paper)
    draw = ImageDraw.Draw(canvas)
    count = int(rng.integers(2, 7))
    colours = [name for name in COLOURS if contrasts(name, paper_name)]
    many = rng.random() < 0.75
    chosen = rng.choice(colours, count, replace=False) if many else [rng.choice(colours)] * count
    heights = _distinct_heights(rng, count)
    named = rng.random() < 0.7 or not many
    letters = list("ABCDEF"[:count]) if named else [""] * count
    floor = SIDE - 20 if named else SIDE - 8
    left, right, top = rng.uniform(6, 18), SIDE - rng.uniform(4, 12), rng.uniform(6, 24)
    pitch = (right - left) / count
    thick = pitch * rng.uniform(0.5, 0.85)
    if rng.random() < 0.6:
        draw.line(
            (left - 3, top - 3, left - 3, floor, right, floor),
            fill=ink,
            width=int(rng.integers(1, 3)),
        )
    font = load_font(draw_font(rng), int(rng.integers(12, 17)))
    shape, colour, rank = (np.zeros((GRID, GRID), np.int64) for _ in range(3))
    ranks = (-heights).argsort().argsort() + 1
    middles = (np.arange(GRID) + 0.5) * SIDE / GRID
    placed = []
    for number, (name, height) in enumerate(zip(chosen, heights)):
        x0 = left + pitch * number + (pitch - thick) / 2
        y0 = floor - height * (floor - top)
        draw.rectangle((x0, y0, x0 + thick, floor), fill=draw_colour(rng, str(name)))
        on = (middles >= y0)[:, None] & (  # down to its letter, which then tells of the bar
            (middles >= x0 - 4) & (middles <= x0 + thick + 4)
        )[None]
        shape[on], colour[on] = BAR, COLOURS.index(str(name)) + 1
        rank[on] = ranks[number]
        if named:
            draw.text(
                (x0 + thick / 2, floor + 10), letters[number], fill=ink, font=font, anchor="mm"
            )
            placed.append((letters[number], (x0 + thick / 2) / SIDE, (floor + 10) / SIDE))
    labels = PatchLabels(
        shape.ravel(),
        colour.ravel(),
        np.zeros(GRID * GRID, np.int64),
        character_labels(placed),
        reading_order(placed),
        rank.ravel(),
    )
    bars = [
        (letter, str(name), float(height)) for letter, name, height in zip(letters, chosen, heights)
    ]
    return Sample("chart", np.asarray(canvas), {"bars": bars}, labels)


def _distinct_heights(rng: np.random.Generator, count: int) -> np.ndarray:
    """Heights from 0.1 to 1 whose ranks can be seen: neighbours in rank differ by at least 0.07."""
    steps = rng.uniform(0.3, 1.0, count)
    ranks = 0.1 + 0.07 * np.arange(count) + np.cumsum(steps) / steps.sum() * (0.9 - 0.07 * count)
    return rng.permutation(ranks)


def draw_display(rng: np.random.Generator) -> Sample:
    """A seven-segment display with one to five digits. facts: `digits`."""
    digits = "".join(str(digit) for digit in rng.integers(0, 10, int(rng.integers(1, 6))))
    lit_name, dark_name = [
        ("red", "black"),
        ("green", "black"),
        ("cyan", "black"),
        ("yellow", "black"),
        ("white", "black"),
        ("black", "gray"),
        ("black", "white"),
        ("orange", "black"),
        ("white", "blue"),
        ("black", "green"),
    ][rng.integers(10)]
    lit, dark = draw_colour(rng, lit_name), draw_colour(rng, dark_name)
    canvas = Image.new("RGB", (SIDE * 2, SIDE * 2), dark)
    draw = ImageDraw.Draw(canvas)
    pitch = min(SIDE * 2 * 0.92 / len(digits), rng.uniform(40, 120))
    wide, tall = pitch * rng.uniform(0.55, 0.72), min(pitch * rng.uniform(0.95, 1.6), 220.0)
    x = rng.uniform(0, SIDE * 2 - pitch * len(digits)) + (pitch - wide) / 2
    y = rng.uniform(6, SIDE * 2 - tall - 6)
    line = max(int(wide * rng.uniform(0.14, 0.24)), 3)
    placed = []
    for digit in digits:
        _segments(draw, x, y, wide, tall, line, SEGMENTS[digit], lit)
        placed.append((digit, (x + wide / 2) / (2 * SIDE), (y + tall / 2) / (2 * SIDE)))
        x += pitch
    zeros = np.zeros(GRID * GRID, np.int64)
    labels = PatchLabels(zeros, zeros, zeros, character_labels(placed), reading_order(placed))
    return Sample(
        "display", np.asarray(canvas.reduce(2)), {"digits": digits, "colour": lit_name}, labels
    )


def _segments(draw, x, y, wide, tall, line, lit, rgb) -> None:
    gap = line * 0.6
    middle, bottom, right = y + tall / 2, y + tall, x + wide
    strokes = (
        (x + gap, y, right - gap, y),
        (right, y + gap, right, middle - gap),
        (right, middle + gap, right, bottom - gap),
        (x + gap, bottom, right - gap, bottom),
        (x, middle + gap, x, bottom - gap),
        (x, y + gap, x, middle - gap),
        (x + gap, middle, right - gap, middle),
    )
    for stroke, on in zip(strokes, lit):
        if on == "1":
            draw.line(stroke, fill=rgb, width=line)
