"""Outlines of shapes and simple objects, as polygons around the origin with radius about 1."""

import math

import numpy as np

Points = np.ndarray  # [n, 2], x to the right, y downwards


def _ring(sides: int, start: float = -90.0) -> Points:
    angles = np.radians(start + np.arange(sides) * 360.0 / sides)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def _box(left: float, top: float, right: float, bottom: float) -> Points:
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom)])


def _star(rng: np.random.Generator) -> Points:
    points = _ring(10)
    points[1::2] *= rng.uniform(0.38, 0.48)
    return points


def _cross(rng: np.random.Generator) -> Points:
    arm = rng.uniform(0.24, 0.36)
    return (
        np.array(
            [
                (-arm, -1),
                (arm, -1),
                (arm, -arm),
                (1, -arm),
                (1, arm),
                (arm, arm),
                (arm, 1),
                (-arm, 1),
                (-arm, arm),
                (-1, arm),
                (-1, -arm),
                (-arm, -arm),
            ]
        )
        * 0.95
    )


def _heart(rng: np.random.Generator) -> Points:
    t = np.linspace(0, 2 * math.pi, 40, endpoint=False)
    x = 16 * np.sin(t) ** 3
    y = 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)
    return np.stack([x, -y - 2], axis=1) / 16.5


def _moon(rng: np.random.Generator) -> Points:
    outer = np.radians(np.linspace(50, 310, 32))
    inner = np.radians(np.linspace(292, 68, 28))
    bite = rng.uniform(0.35, 0.5)
    arc = np.stack([bite + 0.8 * np.cos(inner), 0.83 * np.sin(inner)], axis=1)
    points = np.concatenate([np.stack([np.cos(outer), np.sin(outer)], axis=1), arc])
    return points + (0.2, 0)


def _arrow(rng: np.random.Generator) -> Points:
    stem = rng.uniform(0.18, 0.3)
    return np.array(
        [(-1, -stem), (0.1, -stem), (0.1, -0.7), (1, 0), (0.1, 0.7), (0.1, stem), (-1, stem)]
    )


def _house(rng: np.random.Generator) -> Points:
    wall = rng.uniform(0.55, 0.75)
    return np.array(
        [
            (0, -1),
            (0.95, -0.15),
            (wall, -0.15),
            (wall, 0.85),
            (0.18, 0.85),
            (0.18, 0.3),
            (-0.18, 0.3),
            (-0.18, 0.85),
            (-wall, 0.85),
            (-wall, -0.15),
            (-0.95, -0.15),
        ]
    )


def _tree(rng: np.random.Generator) -> Points:
    trunk = rng.uniform(0.1, 0.17)
    return np.array(
        [
            (0, -1),
            (0.5, -0.35),
            (0.25, -0.35),
            (0.75, 0.5),
            (trunk, 0.5),
            (trunk, 1),
            (-trunk, 1),
            (-trunk, 0.5),
            (-0.75, 0.5),
            (-0.25, -0.35),
            (-0.5, -0.35),
        ]
    )


def _car(rng: np.random.Generator) -> Points:
    def wheel(centre: float) -> Points:
        angles = np.radians(np.linspace(0, 180, 9))
        return np.stack([centre + 0.24 * np.cos(angles), 0.35 + 0.24 * np.sin(angles)], axis=1)

    body = np.array(
        [
            (-1, 0.35),
            (-1, -0.1),
            (-0.6, -0.15),
            (-0.35, -0.55),
            (0.35, -0.55),
            (0.62, -0.15),
            (1, -0.05),
            (1, 0.35),
        ]
    )
    return np.concatenate([body, wheel(0.55), wheel(-0.55)])


def _rectangle(rng: np.random.Generator) -> Points:
    half = rng.uniform(0.32, 0.58)
    points = _box(-1, -half, 1, half)
    return points if rng.random() < 0.6 else points[:, ::-1]


def _oval(rng: np.random.Generator) -> Points:
    points = _ring(40) * (1, rng.uniform(0.4, 0.62))
    return points if rng.random() < 0.6 else points[:, ::-1]


def _diamond(rng: np.random.Generator) -> Points:
    return _ring(4) * (rng.uniform(0.5, 0.78), 1)


def _triangle(rng: np.random.Generator) -> Points:
    return _ring(3) * (rng.uniform(0.85, 1.15), rng.uniform(0.85, 1.1)) + (0, 0.15)


# name: (outline, largest rotation in degrees, how often it is drawn)
SHAPES = {
    "circle": (lambda rng: _ring(40), 0, 3.0),
    "square": (lambda rng: _box(-0.8, -0.8, 0.8, 0.8), 20, 3.0),
    "triangle": (_triangle, 180, 3.0),
    "star": (_star, 36, 2.0),
    "rectangle": (_rectangle, 25, 1.5),
    "heart": (_heart, 30, 1.5),
    "diamond": (_diamond, 10, 1.2),
    "oval": (_oval, 30, 1.2),
    "cross": (_cross, 15, 1.2),
    "hexagon": (lambda rng: _ring(6), 30, 0.8),
    "pentagon": (lambda rng: _ring(5), 15, 0.8),
    "arrow": (_arrow, 180, 0.8),
    "moon": (_moon, 25, 0.8),
    "house": (_house, 4, 0.8),
    "tree": (_tree, 4, 0.8),
    "car": (_car, 4, 0.8),
}
SHAPE_NAMES = tuple(SHAPES)
SHAPE_WEIGHTS = np.array([weight for _, _, weight in SHAPES.values()])
SHAPE_WEIGHTS = SHAPE_WEIGHTS / SHAPE_WEIGHTS.sum()


def outline(rng: np.random.Generator, name: str, x: float, y: float, radius: float) -> Points:
    """The polygon of shape `name` around (`x`, `y`), in the units of `radius`, slightly rotated."""
    make, turn, _ = SHAPES[name]
    points = make(rng)
    if turn and rng.random() < 0.6:
        angle = math.radians(rng.uniform(-turn, turn))
        cosine, sine = math.cos(angle), math.sin(angle)
        points = points @ np.array([(cosine, sine), (-sine, cosine)])
    return points * radius + (x, y)
