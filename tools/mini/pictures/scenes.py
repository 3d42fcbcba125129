"""Drawn scenes: coloured shapes of several sizes and styles on a background."""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from .geometry import GRID, squash
from .palette import COLOURS, contrasts, draw_colour
from .sample import MOST, PatchLabels, Sample
from .shapes import SHAPE_NAMES, SHAPE_WEIGHTS, outline

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


@dataclass(frozen=True)
class Thing:
    """One object of a scene; x, y and radius are fractions of the picture."""

    shape: str
    colour: str
    x: float
    y: float
    radius: float

    @property
    def size(self) -> str:
        """The word for its size, or "medium", which no question asks about."""
        return "small" if self.radius < 0.1 else "large" if self.radius > 0.19 else "medium"


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
        _label(things, masks),
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


def _label(things: list[Thing], masks: np.ndarray) -> PatchLabels:
    """A patch is labelled by the object that covers most of it, or 0 when none covers a quarter."""
    cells = masks.reshape(GRID, 4, GRID, 4).transpose(0, 2, 1, 3).reshape(GRID * GRID, 16)
    covered = np.stack([(cells == number).sum(1) for number in range(1, len(things) + 1)], axis=1)
    owner = np.where(covered.max(1) >= 4, covered.argmax(1) + 1, 0)
    shape = np.array([0] + [SHAPE_NAMES.index(thing.shape) + 1 for thing in things])
    colour = np.array([0] + [COLOURS.index(thing.colour) + 1 for thing in things])
    centre = np.zeros(GRID * GRID, np.int64)
    for thing in things:
        centre[int(thing.y * GRID) * GRID + int(thing.x * GRID)] = 1
    labels = PatchLabels(shape=shape[owner], colour=colour[owner], centre=centre)
    labels.characters = np.zeros_like(labels.characters)
    labels.order, labels.rank = np.zeros_like(labels.order), np.zeros_like(labels.rank)
    labels.alike = _how_many_alike(things)[owner]
    return labels


def _how_many_alike(things: list[Thing]) -> np.ndarray:
    """int64 [1 + things, 3]: how many have the shape, the colour, both of each; a row of 0 first."""
    shapes = np.array([thing.shape for thing in things])
    colours = np.array([thing.colour for thing in things])
    same_shape, same_colour = shapes[:, None] == shapes, colours[:, None] == colours
    counts = [same.sum(1) for same in (same_shape, same_colour, same_shape & same_colour)]
    return np.concatenate([np.zeros((1, 3), np.int64), np.minimum(np.stack(counts, 1), MOST)])
