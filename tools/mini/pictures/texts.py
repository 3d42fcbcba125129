"""Printed text: one to three short lines in many fonts, sizes and colours, slightly rotated."""

import math

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from .fonts import draw_font, load_font
from .geometry import SIDE, squash
from .palette import COLOURS, draw_colour, luminance
from .sample import PatchLabels, Sample, character_labels, reading_order
from .words import draw_text

SMALLEST = 12  # pixels per em, in the 128-pixel picture


def draw_sign(rng: np.random.Generator, held_out: bool = False) -> Sample:
    """A sign with one to three lines. facts: `lines`, `colour`, `background`, `size` (pixels per em
    in the 128-pixel picture)."""
    side = int(rng.choice([128, 128, 128, 160, 192, 256]))
    height = side if rng.random() < 0.75 else int(side * rng.uniform(0.6, 1.0))
    lines = [
        draw_text(rng, held_out) for _ in range(int(rng.choice([1, 2, 3], p=[0.75, 0.17, 0.08])))
    ]
    colour, background, ink, paper = _colours(rng)
    layer = Image.new("L", (side, height))
    lines, placed, size = _write(rng, layer, lines, side / 128)
    angle = float(rng.uniform(-7, 7)) if rng.random() < 0.3 else 0.0
    if angle:
        layer = layer.rotate(angle, Image.Resampling.BICUBIC)
        placed = [
            (character, *_turn(x, y, side / 2, height / 2, angle)) for character, x, y in placed
        ]
    sheet = _sheet(rng, side, height, paper)
    if not held_out and rng.random() < 0.3:  # else the exam's signs were not those of earlier sittings
        _frame(rng, sheet, ink, layer.getbbox())
    sheet.paste(ink, mask=layer)
    picture = _weather(rng, sheet)
    labels = _nothing_drawn()
    placed = [(character, x / side, y / height) for character, x, y in placed]
    labels.characters, labels.order = character_labels(placed), reading_order(placed)
    return Sample(
        "text",
        squash(picture),
        {"lines": lines, "colour": colour, "background": background, "size": size},
        labels,
    )


def draw_page(rng: np.random.Generator) -> Sample:
    """A page full of lines in several fonts: it teaches letters faster than signs. No facts."""
    colour, background, ink, paper = _colours(rng)
    layer = Image.new("L", (SIDE, SIDE))
    draw = ImageDraw.Draw(layer)
    placed = []
    top = rng.uniform(0, 10)
    while top < SIDE - SMALLEST:
        size = int(
            min(
                rng.uniform(SMALLEST, 20) if rng.random() < 0.75 else rng.uniform(20, 44),
                SIDE - top,
            )
        )
        font = load_font(draw_font(rng), size)
        line = draw_text(rng)
        while font.getlength(line) < SIDE * 0.75:
            line += " " + draw_text(rng)
        line = _fitting(font, line, SIDE * 0.98)
        placed += _draw_line(
            draw, line, font, rng.uniform(0, max(SIDE - font.getlength(line), 0)), top + size * 0.55
        )
        top += size * rng.uniform(1.05, 1.3)
    sheet = _sheet(rng, SIDE, SIDE, paper)
    sheet.paste(ink, mask=layer)
    labels = _nothing_drawn()
    labels.characters = character_labels(
        [(character, x / SIDE, y / SIDE) for character, x, y in placed]
    )
    return Sample("page", _weather(rng, sheet), {}, labels)


def _draw_line(
    draw, line: str, font, start: float, middle: float
) -> list[tuple[str, float, float]]:
    """Writes `line` and returns (character, x, y) of every centre in pixels."""
    draw.text((start, middle), line, fill=255, font=font, anchor="lm")
    edges = [font.getlength(line[:count]) for count in range(len(line) + 1)]
    return [(c, start + (edges[i] + edges[i + 1]) / 2, middle) for i, c in enumerate(line)]


def _nothing_drawn() -> PatchLabels:
    labels = PatchLabels()
    labels.shape, labels.colour, labels.centre = (np.zeros_like(labels.shape) for _ in range(3))
    return labels


def _colours(rng: np.random.Generator):
    """Names and values of ink and paper, far enough apart in brightness to be read."""
    while True:
        if rng.random() < 0.45:
            colour, background = ("black", "white") if rng.random() < 0.7 else ("white", "black")
        else:
            colour, background = (str(name) for name in rng.choice(COLOURS, 2, replace=False))
        ink, paper = draw_colour(rng, colour), draw_colour(rng, background)
        if abs(luminance(ink) - luminance(paper)) > 70:
            return colour, background, ink, paper


def _write(rng, layer, lines, scale):
    """Draws as many lines as fit; returns those, (character, x, y) of every centre in pixels, and the
    size of the letters in pixels of a 128-pixel picture."""
    draw = ImageDraw.Draw(layer)
    width, height = layer.size
    path = draw_font(rng)
    size = (
        int(rng.uniform(SMALLEST, 34) * scale)
        if rng.random() < 0.75
        else int(rng.uniform(30, 60) * scale)
    )
    longest = max(lines, key=len)
    needed = load_font(path, size).getlength(longest)
    if needed > width * 0.95:
        size = int(size * width * 0.95 / needed)
    if size < SMALLEST * scale:  # too long to be read at any size: keep what fits
        size = int(SMALLEST * scale) + 1
    font = load_font(path, size)
    lines = [_fitting(font, line, width * 0.97) for line in lines]
    pitch = size * rng.uniform(1.15, 1.6)
    lines = lines[: max(1, int((height - size * 0.3) // pitch))]
    block = pitch * (len(lines) - 1) + size * 1.1
    top = (
        rng.uniform(0, max(height - block, 1)) if rng.random() < 0.6 else max(height - block, 0) / 2
    )
    centred = rng.random() < 0.6
    left = None
    placed = []
    for number, line in enumerate(lines):
        length = font.getlength(line)
        room = max(width - length, 0)
        if centred:
            start = room / 2
        else:
            left = rng.uniform(0, room) if left is None else left
            start = min(left, room)
        middle = top + number * pitch + size * 0.55
        placed += _draw_line(draw, line, font, start, middle)
    return lines, placed, size / scale


def _fitting(font, line: str, width: float) -> str:
    while len(line) > 1 and font.getlength(line) > width:
        line = line[:-1].rstrip()
    return line


def _turn(
    x: float, y: float, centre_x: float, centre_y: float, angle: float
) -> tuple[float, float]:
    """Where a point goes when the picture is rotated by `angle` degrees anticlockwise."""
    cosine, sine = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    right, down = x - centre_x, y - centre_y
    return centre_x + right * cosine + down * sine, centre_y - right * sine + down * cosine


def _sheet(rng: np.random.Generator, width: int, height: int, paper) -> Image.Image:
    """Plain paper, sometimes with a frame or a board of the paper's colour on something else."""
    sheet = Image.new("RGB", (width, height), paper)
    if rng.random() < 0.2:
        ImageDraw.Draw(sheet).rectangle(
            (1, 1, width - 2, height - 2),
            outline=draw_colour(rng, str(rng.choice(COLOURS))),
            width=max(width // 50, 1),
        )
    return sheet


def _frame(rng: np.random.Generator, sheet: Image.Image, ink, text) -> None:
    """A line in the colour of the letters, all around them and clear of `text` (left, top, right, bottom)."""
    left, top, right, bottom = text
    width = max(round(sheet.width * rng.uniform(0.008, 0.025)), 1)
    gap = 0.02 * sheet.width
    room = min(left, top, sheet.width - right, sheet.height - bottom) - width - gap
    if room < 0:
        return
    at = int(rng.uniform(0, min(room, 0.12 * sheet.width)))
    ImageDraw.Draw(sheet).rectangle(
        (at, at, sheet.width - 1 - at, sheet.height - 1 - at), outline=ink, width=width
    )


def _weather(rng: np.random.Generator, sheet: Image.Image) -> np.ndarray:
    if rng.random() < 0.15:
        sheet = sheet.filter(ImageFilter.GaussianBlur(rng.uniform(0.2, 0.7) * sheet.width / 128))
    picture = np.asarray(sheet)
    if rng.random() < 0.25:
        grain = rng.integers(-12, 13, picture.shape[:2])
        ramp = np.linspace(-1, 1, picture.shape[1]) * rng.uniform(0, 20)
        picture = np.clip(picture + grain[:, :, None] + ramp[None, :, None], 0, 255).astype(
            np.uint8
        )
    return picture
