"""Photographs that have nothing to do with CIFAR-10, from Debian packages: how the model does outside.

    apt-get download gcompris-qt-data tuxpaint-stamps-default
    for package in *.deb; do dpkg-deb -x $package wild; done
    python -m tools.mini wild --root wild

Without --root the packages must be installed. Stamps have no background; they stand on plain grey.
"""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from ..questions.phrasing import article

FARM = "gcompris/src/activities/explore_farm_animals/resource/animals"
ERASE = "gcompris/src/activities/erase/resource"
WORLD = "gcompris/src/activities/explore_world_animals/resource/animals"
IN_ARCHIVES = {  # archive, file in it, class
    ("explore_farm_animals", f"{FARM}/dog.webp"): "dog",
    ("explore_farm_animals", f"{FARM}/cat.webp"): "cat",
    ("explore_farm_animals", f"{FARM}/horse.webp"): "horse",
    ("erase", f"{ERASE}/horse.webp"): "horse",
    ("erase", f"{ERASE}/kitten.webp"): "cat",
    ("erase", f"{ERASE}/heron.webp"): "bird",
    ("erase", f"{ERASE}/kingfisher.webp"): "bird",
    ("erase", f"{ERASE}/northern_harrier.webp"): "bird",
    ("explore_world_animals", f"{WORLD}/moose.webp"): "deer",
}
STAMPS = {
    "vehicles/flight/planes/747.png": "airplane",
    "vehicles/auto/beetle.png": "car",
    "vehicles/auto/sedan.png": "car",
    "vehicles/auto/sportscar2.png": "car",
    "vehicles/auto/truck.png": "truck",
    "vehicles/emergency/firetruck.png": "truck",
    "vehicles/garbagetruck.png": "truck",
    "animals/amphibians/frog.png": "frog",
    "animals/amphibians/frog-1.png": "frog",
    "animals/mammals/deer/deer.png": "deer",
    "animals/mammals/deer/wapiti.png": "deer",
    "animals/mammals/equines/horse.png": "horse",
    "animals/birds/seagull.png": "bird",
    "animals/birds/pigeon.png": "bird",
}
PAPER = (150, 165, 170)


def wild_photos(root: Path) -> list[tuple[str, str, Image.Image]]:
    """(name, class, square picture) of every photograph; the middle of those that are not square."""
    photos = []
    for (archive, name), wanted in IN_ARCHIVES.items():
        packed = (root / f"usr/share/gcompris-qt/rcc/{archive}.rcc").read_bytes()
        photo = Image.open(io.BytesIO(_unpack(packed, name))).convert("RGB")
        photos.append((Path(name).name, wanted, _middle(photo)))
    for name, wanted in STAMPS.items():
        stamp = Image.open(root / "usr/share/tuxpaint/stamps" / name).convert("RGBA")
        side = int(max(stamp.size) * 1.1)
        paper = Image.new("RGBA", (side, side), PAPER)
        paper.alpha_composite(stamp, ((side - stamp.width) // 2, (side - stamp.height) // 2))
        photos.append((Path(name).name, wanted, paper.convert("RGB")))
    return photos


def show_wild(folder: Path, root: Path) -> None:
    """Prints each photograph's caption as Chiasm gives it, and how many name the right class."""
    import chiasm

    model = chiasm.load(folder)
    photos = wild_photos(root)
    captions = model.caption([np.asarray(photo) for _, _, photo in photos])
    right = 0
    for (name, wanted, _), caption in zip(photos, captions):
        hit = caption == f"A photo of {article(wanted)}."
        right += hit
        print(f"{name:24} {wanted:9} {'+' if hit else '-'} {caption}")
    print(f"{right} of {len(photos)} named")


def _middle(photo: Image.Image) -> Image.Image:
    side = min(photo.size)
    left, top = (photo.width - side) // 2, (photo.height - side) // 2
    return photo.crop((left, top, left + side, top + side))


def _unpack(packed: bytes, path: str) -> bytes:
    """One file of a Qt resource archive (format 2 or later, as rcc writes it)."""
    magic, version, tree, data, names = struct.unpack(">4s4I", packed[:20])
    if magic != b"qres":
        raise ValueError("not a Qt resource archive")
    entry = 22 if version >= 2 else 14

    def find(node: int, parts: list[str]) -> bytes:
        at = tree + node * entry
        _, flags = struct.unpack(">IH", packed[at : at + 6])
        if not parts:
            (start,) = struct.unpack(">I", packed[at + 10 : at + 14])
            (length,) = struct.unpack(">I", packed[data + start : data + start + 4])
            content = packed[data + start + 4 : data + start + 4 + length]
            return zlib.decompress(content[4:]) if flags & 1 else content
        count, first = struct.unpack(">II", packed[at + 6 : at + 14])
        for child in range(first, first + count):
            (name_at,) = struct.unpack(
                ">I", packed[tree + child * entry : tree + child * entry + 4]
            )
            (length,) = struct.unpack(">H", packed[names + name_at : names + name_at + 2])
            begin = names + name_at + 6
            if packed[begin : begin + 2 * length].decode("utf-16-be") == parts[0]:
                return find(child, parts[1:])
        raise KeyError(path)

    return find(0, path.split("/"))
