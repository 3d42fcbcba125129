"""The fonts of this machine that draw Latin letters; Debian's packages give several hundred."""

import functools
from pathlib import Path

import numpy as np
from PIL import ImageFont

FOLDERS = (Path("/usr/share/fonts/truetype"), Path("/usr/share/fonts/opentype"))
# Symbols, scripts without Latin letters, and display faces that people cannot read at 14 pixels.
_SKIPPED = (
    "emoji",
    "symbol",
    "math",
    "ornament",
    "dingbat",
    "opens___",
    "libertine_k",
    "libertine_i",
)
_LATIN_NOTO = ("NotoSans-", "NotoSerif-", "NotoSansMono-", "NotoSansDisplay-", "NotoSerifDisplay-")
_KEPT = 100  # opened fonts and sizes


@functools.cache
def font_files() -> tuple[str, ...]:
    """Readable Latin fonts, in a fixed order."""
    files = sorted(
        path for folder in FOLDERS if folder.is_dir() for path in folder.rglob("*.[to]tf")
    )
    chosen = tuple(str(path) for path in files if _is_latin(path))
    if not chosen:
        raise RuntimeError(
            f"no fonts below {', '.join(map(str, FOLDERS))}: see tools/mini/README.md"
        )
    return chosen


def _is_latin(path: Path) -> bool:
    name = path.name
    if any(word in name.lower() for word in _SKIPPED):
        return False
    if name.startswith("Noto") and not name.startswith(_LATIN_NOTO):
        return False
    font = ImageFont.truetype(path, 20)
    absent = bytes(font.getmask("\uffff"))
    return all(bytes(font.getmask(letter)) != absent for letter in "agMZ5")


@functools.lru_cache(maxsize=_KEPT)
def load_font(path: str, size: int) -> ImageFont.FreeTypeFont:
    """The font of `path` at `size` pixels per em."""
    return ImageFont.truetype(path, size)


def draw_font(rng: np.random.Generator) -> str:
    """The path of a font: families first, so that forty styles of one do not crowd out the rest."""
    families = _families()
    family = families[rng.integers(len(families))]
    return family[rng.integers(len(family))]


@functools.cache
def _families() -> tuple[tuple[str, ...], ...]:
    groups: dict[str, list[str]] = {}
    for path in font_files():
        groups.setdefault(Path(path).stem.split("-")[0], []).append(path)
    return tuple(tuple(group) for group in groups.values())
