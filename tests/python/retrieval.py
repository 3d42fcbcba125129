"""What the tests of retrieval share: folders of files, and rows to be compared."""

import hashlib
import io
import pathlib
import struct

import numpy as np
import PIL.Image

from chiasm import rag

COLUMNS = (
    "id file path raw_path kind part page line start_s end_s title caption text words width height"
    " size hash thumbnail image_vector text_vector"
).split()


def noise(seed: int, side: int = 48) -> np.ndarray:
    """A picture unlike any other: large patches of colour under noise."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (4, 4, 3), np.uint8).repeat(side // 4, 0).repeat(side // 4, 1)
    return coarse // 2 + rng.integers(0, 128, coarse.shape, np.uint8)


def save(pixels: np.ndarray, file: pathlib.Path) -> pathlib.Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.fromarray(pixels).save(file)
    return file


def write(file: pathlib.Path, text: str) -> pathlib.Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return file


def pdf(file: pathlib.Path, *pages: str) -> pathlib.Path:
    """A PDF with a line of Helvetica on each page, written by hand."""
    objects = ["<</Type/Catalog/Pages 2 0 R>>"]
    kids = " ".join(f"{4 + 2 * i} 0 R" for i in range(len(pages)))
    objects.append(f"<</Type/Pages/Kids[{kids}]/Count {len(pages)}>>")
    objects.append("<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>")
    for i, words in enumerate(pages):
        drawn = f"BT /F1 24 Tf 40 120 Td ({words}) Tj ET"
        objects.append(
            f"<</Type/Page/Parent 2 0 R/MediaBox[0 0 400 200]/Contents {5 + 2 * i} 0 R"
            "/Resources<</Font<</F1 3 0 R>>>>>>"
        )
        objects.append(f"<</Length {len(drawn)}>>stream\n{drawn}\nendstream")
    out, offsets = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, 1):
        offsets.append(len(out))
        out += f"{number} 0 obj\n{body}\nendobj\n".encode()
    table = "".join(f"{offset:010} 00000 n \n" for offset in offsets)
    end = f"trailer<</Size {len(objects) + 1}/Root 1 0 R>>\nstartxref\n{len(out)}\n%%EOF\n"
    out += f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}{end}".encode()
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(out)
    return file


def rows(index: rag.Index) -> dict[str, str]:
    """A digest of each row by its id: equal where every column is, but for the file's time. Fails
    where an id stands twice."""
    found: dict[str, str] = {}
    for row in index.items(columns=COLUMNS):
        assert row["id"] not in found, "an item is in the index twice"
        found[row["id"]] = hashlib.blake2b(repr(sorted(row.items())).encode()).hexdigest()
    return found


def film(file: pathlib.Path, frames: list[np.ndarray], rate: int) -> pathlib.Path:
    """An AVI of JPEG frames, written by hand."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return name + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)

    def listed(name: bytes, *chunks: bytes) -> bytes:
        return chunk(b"LIST", name + b"".join(chunks))

    height, width = frames[0].shape[:2]
    encoded = []
    for frame in frames:
        out = io.BytesIO()
        PIL.Image.fromarray(frame).save(out, "JPEG", quality=90)
        encoded.append(chunk(b"00dc", out.getvalue()))
    count, most = len(frames), max(map(len, encoded))
    main = struct.pack("<14I", 1_000_000 // rate, 0, 0, 16, count, 0, 1, most, width, height, *[0] * 4)
    stream = struct.pack(
        "<4s4sIHHIIIIIIII4H", b"vids", b"MJPG", 0, 0, 0, 0, 1, rate, 0, count, most, 0, 0, 0, 0, 0, 0
    )
    picture = struct.pack("<IiiHH4sIiiII", 40, width, height, 1, 24, b"MJPG", 0, 0, 0, 0, 0)
    header = listed(
        b"hdrl",
        chunk(b"avih", main),
        listed(b"strl", chunk(b"strh", stream), chunk(b"strf", picture)),
    )
    places, at = b"", 4
    for frame in encoded:
        places += struct.pack("<4sIII", b"00dc", 16, at, len(frame) - 8)
        at += len(frame)
    body = header + listed(b"movi", *encoded) + chunk(b"idx1", places)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(chunk(b"RIFF", b"AVI " + body))
    return file
