"""Drawn scenes: coloured shapes of several sizes and styles on a background."""

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from .geometry import GRID, squash
from .palette import COLOURS, contrasts, draw_colour
from .sample import Sample
from .scene_labels import label
from .shapes import SHAPE_NAMES, SHAPE_WEIGHTS, outline
from .thing import Thing

MASK_CELLS = GRID * 4  # resolution of the map from patches to the object that covers them
OUTLINED_ONLY = (
    "circle",
    "square",
    "triangle",
    "rectangle",
    "star",
    "heart",
    "diamond",
    "oval",
    "hexagon",
    "pentagon",
)


def draw_scene(rng: np.random.Generator) -> Sample:
    """A scene of one to eight objects. facts: `things`, `background`."""
    background = str(rng.choice(COLOURS, p=_BACKGROUND_WEIGHTS))
    things = _place(rng, background)
    width, height = _canvas_size(rng)
    picture, masks = _paint(rng, things, background, width, height)
    return Sample(
        "scene",
        squash(picture),
        {"things": things, "background": background},
        label(things, masks),
    )


_BACKGROUND_WEIGHTS = np.array(
    [{"white": 7.0, "black": 1.5, "gray": 1.5}.get(name, 0.7) for name in COLOURS]
)
_BACKGROUND_WEIGHTS /= _BACKGROUND_WEIGHTS.sum()


def _canvas_size(rng: np.random.Generator) -> tuple[int, int]:
    side = int(rng.choice([128, 128, 160, 200, 224, 256, 64, 96]))
    if rng.random() < 0.7:
        return side, side
    return side, max(int(side * rng.uniform(0.75, 1.0)), 16)


def _place(rng: np.random.Generator, background: str) -> list[Thing]:
    """Objects that do not touch, chosen so that questions have one true answer."""
    colours = [name for name in COLOURS if contrasts(name, background)]
    style = rng.random()
    if style < 0.3:  # several of a kind, for counting
        count = int(rng.integers(2, 9))
        shape = str(rng.choice(SHAPE_NAMES, p=SHAPE_WEIGHTS))
        few = rng.choice(colours, size=min(len(colours), int(rng.integers(1, 3))), replace=False)
        kinds = [(shape, str(rng.choice(few))) for _ in range(count)]
        if rng.random() < 0.4:
            kinds[-1] = (str(rng.choice(SHAPE_NAMES, p=SHAPE_WEIGHTS)), kinds[-1][1])
        radii = rng.uniform(0.07, 0.14) * rng.uniform(0.8, 1.2, count)
    else:
        count = int(rng.choice([1, 2, 3, 4, 5, 6], p=[0.25, 0.3, 0.2, 0.12, 0.08, 0.05]))
        kinds = [
            (str(rng.choice(SHAPE_NAMES, p=SHAPE_WEIGHTS)), str(rng.choice(colours)))
            for _ in range(count)
        ]
        largest = {1: 0.42, 2: 0.25, 3: 0.22, 4: 0.19}.get(count, 0.15)
        radii = np.where(
            rng.random(count) < 0.35,
            rng.uniform(0.06, 0.1, count),
            rng.uniform(0.1, largest, count),
        )
    things: list[Thing] = []
    for (shape, colour), radius in zip(kinds, radii):
        for _ in range(30):
            x, y = rng.uniform(radius + 0.02, 0.98 - radius, 2)
            if all(
                (x - other.x) ** 2 + (y - other.y) ** 2 > (radius + other.radius + 0.015) ** 2
                for other in things
            ):
                things.append(Thing(shape, colour, float(x), float(y), float(radius)))
                break
    return things


def _paint(rng, things, background, width, height):
    """The picture and one map that gives, for each cell, 1 + the number of the object on it."""
    smooth = rng.random() < 0.8
    scale = 2 if smooth and width < 250 else 1
    canvas = Image.new("RGB", (width * scale, height * scale), draw_colour(rng, background))
    draw = ImageDraw.Draw(canvas)
    masks = Image.new("L", (MASK_CELLS, MASK_CELLS))
    mask_draw = ImageDraw.Draw(masks)
    extent = np.array([width * scale, height * scale])
    side = min(width, height) * scale
    style = rng.choice(["filled", "edged", "outlined", "mixed"], p=[0.6, 0.15, 0.12, 0.13])
    edge_colour = (0, 0, 0) if background != "black" else (255, 255, 255)
    for number, thing in enumerate(things):
        points = outline(rng, thing.shape, 0, 0, thing.radius)
        centre = np.array([thing.x, thing.y])
        pixels = [tuple(point) for point in points * side + centre * extent]
        rgb = draw_colour(rng, thing.colour)
        look = rng.choice(["filled", "edged", "outlined"]) if style == "mixed" else style
        line = max(int(thing.radius * side * rng.uniform(0.1, 0.22)), scale)
        if look == "outlined" and thing.shape in OUTLINED_ONLY:
            draw.line(pixels + pixels[:2], fill=rgb, width=max(line, 2 * scale), joint="curve")
        else:
            draw.polygon(pixels, fill=rgb)
            if look == "edged":
                draw.line(
                    pixels + pixels[:2],
                    fill=edge_colour,
                    width=max(line // 2, scale),
                    joint="curve",
                )
        cells = (points * side / extent + centre) * MASK_CELLS
        mask_draw.polygon([tuple(cell) for cell in cells], fill=number + 1)
    if scale == 2:
        canvas = canvas.reduce(2)
    return _weather(rng, canvas), np.asarray(masks)


def _weather(rng: np.random.Generator, canvas: Image.Image) -> np.ndarray:
    """Slight blur, a gradient or grain, each in a part of the pictures."""
    if rng.random() < 0.12:
        canvas = canvas.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 0.9)))
    picture = np.asarray(canvas)
    if rng.random() < 0.15:
        ramp = np.linspace(-1, 1, picture.shape[1]) * rng.uniform(4, 18)
        picture = np.clip(picture + ramp[None, :, None], 0, 255).astype(np.uint8)
    if rng.random() < 0.15:
        grain = rng.integers(-8, 9, picture.shape[:2])
        picture = np.clip(picture + grain[:, :, None], 0, 255).astype(np.uint8)
    return picture
