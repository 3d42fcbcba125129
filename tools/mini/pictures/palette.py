"""Named colours, drawn with variation so that a name stands for a range and not a value."""

import colorsys

import numpy as np

# name: (hue range in degrees, saturation range, value range)
RANGES = {
    "red": ((-10, 8), (0.75, 1.0), (0.7, 1.0)),
    "orange": ((22, 36), (0.8, 1.0), (0.88, 1.0)),
    "yellow": ((48, 62), (0.7, 1.0), (0.88, 1.0)),
    "green": ((95, 145), (0.55, 1.0), (0.4, 0.9)),
    "cyan": ((174, 190), (0.6, 1.0), (0.8, 1.0)),
    "blue": ((212, 240), (0.65, 1.0), (0.6, 1.0)),
    "purple": ((268, 290), (0.5, 1.0), (0.4, 0.8)),
    "pink": ((318, 345), (0.25, 0.6), (0.92, 1.0)),
    "brown": ((16, 30), (0.55, 0.85), (0.3, 0.55)),
    "black": ((0, 360), (0.0, 0.2), (0.0, 0.12)),
    "white": ((0, 360), (0.0, 0.05), (0.95, 1.0)),
    "gray": ((0, 360), (0.0, 0.06), (0.4, 0.68)),
}
COLOURS = tuple(RANGES)

# Pairs too close to tell apart side by side; also never drawn on each other.
_CLOSE = {
    frozenset(pair)
    for pair in (
        ("red", "orange"),
        ("orange", "yellow"),
        ("orange", "brown"),
        ("red", "brown"),
        ("cyan", "blue"),
        ("red", "pink"),
        ("purple", "blue"),
        ("black", "brown"),
        ("white", "yellow"),
        ("purple", "pink"),
        ("white", "pink"),
        ("gray", "brown"),
        ("green", "cyan"),
        ("white", "cyan"),
        ("gray", "white"),
        ("black", "purple"),
        ("gray", "green"),
        ("black", "blue"),
        ("gray", "purple"),
    )
}


def draw_colour(rng: np.random.Generator, name: str) -> tuple[int, int, int]:
    """One RGB value (0 to 255) that people would call `name`."""
    ranges = RANGES[name]
    hue, saturation, value = (rng.uniform(low, high) for low, high in ranges)
    red, green, blue = colorsys.hsv_to_rgb((hue % 360) / 360, saturation, value)
    return round(red * 255), round(green * 255), round(blue * 255)


def contrasts(first: str, second: str) -> bool:
    """Whether `first` stands out when drawn on `second`."""
    return first != second and frozenset((first, second)) not in _CLOSE


def luminance(rgb: tuple[int, int, int]) -> float:
    """Perceived brightness of an RGB value, 0 to 255 (ITU-R BT.601 weights)."""
    return 0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2]
