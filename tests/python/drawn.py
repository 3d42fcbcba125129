"""Signs and scenes whose words are known."""

import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont

COLOURS = {
    "red": (214, 40, 40),
    "blue": (40, 70, 210),
    "green": (40, 150, 60),
    "yellow": (240, 210, 40),
    "orange": (240, 140, 30),
    "purple": (130, 50, 160),
    "black": (20, 20, 20),
    "pink": (240, 130, 180),
}
SHAPES = ("circle", "square", "triangle", "star", "heart")
NUMBERS = ("no", "a", "two", "three", "four")


def scene(rng: np.random.Generator):
    """(pixels, groups): one or two groups, each (count, colour, shape), on white."""
    kinds = rng.permutation(len(SHAPES))[: 1 + int(rng.random() < 0.7)]
    colours = rng.permutation(list(COLOURS))
    groups = [
        (int(rng.integers(1, 4)), str(colours[i]), SHAPES[kind]) for i, kind in enumerate(kinds)
    ]
    image = PIL.Image.new("RGB", (192, 192), "white")
    draw = PIL.ImageDraw.Draw(image)
    cells = list(rng.permutation(9))
    for count, colour, shape in groups:
        for _ in range(count):
            cell = int(cells.pop())
            x, y = 32 + 64 * (cell % 3) + rng.integers(-6, 7), 32 + 64 * (cell // 3) + rng.integers(-6, 7)
            _shape(draw, shape, float(x), float(y), float(rng.uniform(17, 25)), COLOURS[colour])
    return np.asarray(image), groups


def described(groups) -> str:
    """ "two red circles and a blue star"."""
    return " and ".join(
        f"{NUMBERS[count]} {colour} {shape}{'s' if count > 1 else ''}"
        for count, colour, shape in groups
    )


def sign(rng: np.random.Generator, words: str):
    """Pixels of words in one line, dark on light or light on dark."""
    ink, paper = ("black", "white") if rng.random() < 0.5 else ("white", (30, 60, 120))
    image = PIL.Image.new("RGB", (192, 192), paper)
    size = min(44, int(280 / len(words)))
    font = PIL.ImageFont.load_default(size)
    PIL.ImageDraw.Draw(image).text((96, 96), words, fill=ink, font=font, anchor="mm")
    return np.asarray(image)


def _shape(draw, shape, x, y, r, colour):
    if shape == "circle":
        draw.ellipse((x - r, y - r, x + r, y + r), fill=colour)
    elif shape == "square":
        draw.rectangle((x - 0.9 * r, y - 0.9 * r, x + 0.9 * r, y + 0.9 * r), fill=colour)
    elif shape == "triangle":
        draw.polygon([(x, y - r), (x - r, y + 0.8 * r), (x + r, y + 0.8 * r)], fill=colour)
    elif shape == "star":
        turns = np.arange(10) * np.pi / 5 - np.pi / 2
        radii = np.where(np.arange(10) % 2, 0.42 * r, 1.1 * r)
        corners = zip(x + radii * np.cos(turns), y + radii * np.sin(turns))
        draw.polygon([(float(a), float(b)) for a, b in corners], fill=colour)
    else:
        t = np.linspace(0, 2 * np.pi, 60)
        across = 16 * np.sin(t) ** 3
        up = 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)
        draw.polygon([(float(x + r * a / 16), float(y - r * b / 16)) for a, b in zip(across, up)], fill=colour)
