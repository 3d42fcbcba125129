"""The stream of training pictures: picture n is the same on every machine and every run."""

import numpy as np

from .charts import draw_chart, draw_display
from .photos import Photos, plain_photo, varied_photo
from .sample import Sample
from .scenes import draw_scene
from .texts import draw_page, draw_sign

# Shares of the drawn kinds; photographs are counted apart because they are not endless.
TO_ASK = {draw_scene: 0.5, draw_sign: 0.4, draw_chart: 0.07, draw_display: 0.03}
TO_LABEL = {draw_scene: 0.15, draw_page: 0.38, draw_sign: 0.39, draw_chart: 0.05, draw_display: 0.03}
VALIDATION = 1_000_003  # a seed that training never uses


def drawn_picture(seed: int, number: int, shares: dict = TO_ASK) -> Sample:
    """Picture `number` of the endless stream of drawn pictures."""
    rng = np.random.default_rng((seed, 0, number))
    return tuple(shares)[rng.choice(len(shares), p=tuple(shares.values()))](rng)


def training_photo(photos: Photos, seed: int, number: int) -> Sample:
    """Photograph `number` of the endless shuffled stream, newly varied in every pass."""
    passes, place = divmod(number, len(photos.train))
    order = _shuffled(len(photos.train), seed, passes)
    return varied_photo(np.random.default_rng((seed, 1, number)), *photos.train[order[place]])


_orders: dict[tuple[int, int, int], np.ndarray] = {}


def _shuffled(count: int, seed: int, passes: int) -> np.ndarray:
    key = (count, seed, passes)
    if key not in _orders:
        _orders.clear()
        _orders[key] = np.random.default_rng((seed, 2, passes)).permutation(count)
    return _orders[key]


def validation_pictures(photos: Photos, kind: str, count: int) -> list[Sample]:
    """Fresh pictures of one kind that training never sees; signs carry held-out words."""
    if kind == "photo":
        step = max(len(photos.held_out) // count, 1)
        return [plain_photo(*photo) for photo in photos.held_out[::step][:count]]
    makers = {
        "scene": draw_scene,
        "chart": draw_chart,
        "display": draw_display,
        "text": lambda rng: draw_sign(rng, held_out=True),
    }
    return [makers[kind](np.random.default_rng((VALIDATION, number))) for number in range(count)]
