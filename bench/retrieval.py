"""What an index costs: pictures a second beside PyTorch on the same weights, memory as it grows, and
searches among many vectors.

    python bench/retrieval.py index --pictures 1000        # needs torch and transformers for the peer
    python bench/retrieval.py growth --items 2500,10000
    python bench/retrieval.py search --vectors 25000,50000,100000
"""

import argparse
import io
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
DIM = 256


def make_pictures(folder: Path, count: int, width: int, height: int) -> None:
    """JPEGs as photographs are to a decoder: smooth, with detail."""
    import PIL.Image

    folder.mkdir(parents=True)
    for i in range(count):
        rng = np.random.default_rng(i)
        coarse = PIL.Image.fromarray(rng.integers(0, 256, (12, 16, 3), np.uint8))
        pixels = np.asarray(coarse.resize((width, height), PIL.Image.Resampling.BICUBIC), np.int16)
        detail = rng.integers(-12, 13, (height, width, 1), np.int16)
        PIL.Image.fromarray(np.clip(pixels + detail, 0, 255).astype(np.uint8)).save(
            folder / f"{i:06}.jpg", quality=85
        )


def index_chiasm(folder: Path, db: Path, settings: dict) -> float:
    """Seconds, model loaded."""
    import chiasm
    from chiasm import rag

    index = rag.Index(db, model=chiasm.load_embedder(**settings))
    begun = time.perf_counter()
    report = index.add(folder)
    assert not report.problems
    return time.perf_counter() - begun


def index_torch(folder: Path, db: Path) -> float:
    """The same rows as a script with transformers makes them: batches of 32, decoded by Pillow."""
    import lancedb
    import PIL.Image
    import pyarrow as pa
    import torch
    sys.path.insert(0, str(ROOT))
    from tools.mini.evaluation.backends import TransformersBackend

    backend = TransformersBackend(ROOT / "models" / "chiasm-mini", "bfloat16")
    backend.mini = backend.mini.to(torch.bfloat16)
    schema = pa.schema(
        {"path": pa.string(), "thumbnail": pa.binary(), "vector": pa.list_(pa.float32(), DIM)}
    )
    begun = time.perf_counter()
    table = lancedb.connect(str(db)).create_table("items", schema=schema)
    files = sorted(folder.iterdir())
    for first in range(0, len(files), 32):
        part = files[first : first + 32]
        pictures = [PIL.Image.open(file).convert("RGB") for file in part]
        pixels = backend.processor.image_processor([[p] for p in pictures], return_tensors="pt")
        with torch.inference_mode():
            seen = backend.mini.see(pixels.pixel_values[:, 0].to(torch.bfloat16))
            rows = backend.mini.picture_row(seen).float().numpy()
        table.add(
            [
                {"path": str(f), "thumbnail": small_jpeg(p), "vector": row}
                for f, p, row in zip(part, pictures, rows)
            ]
        )
    return time.perf_counter() - begun


def small_jpeg(picture) -> bytes:
    """Changes `picture`, which is not needed after it."""
    picture.thumbnail((192, 192))
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=80)
    return out.getvalue()


def throughput(count: int, side: str, rounds: int) -> dict:
    """Pictures a second, the runtimes in turns."""
    width, height = map(int, side.split("x"))
    ways = {
        "chiasm bfloat16": lambda f, d: index_chiasm(f, d, {"dtype": "bfloat16"}),
        "chiasm int8": lambda f, d: index_chiasm(f, d, {"quantize": "int8"}),
        "torch bfloat16": index_torch,
    }
    speeds: dict[str, list[float]] = {name: [] for name in ways}
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work) / "pictures"
        make_pictures(folder, count, width, height)
        for turn in range(rounds):
            for name, way in ways.items():
                seconds = way(folder, Path(work) / f"{name} {turn}.lance")
                speeds[name].append(count / seconds)
    medians = {name: round(float(np.median(rows)), 1) for name, rows in speeds.items()}
    return {"pictures": count, "size": side, "per_second": medians, "all": speeds}


GROWTH = """
import resource, sys, time, chiasm
from chiasm import rag
index = rag.Index(sys.argv[1] + "/db.lance")
index.embedders
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
begun = time.perf_counter()
report = index.add(sys.argv[1] + "/pictures")
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
begun_again = time.perf_counter()
again = index.add(sys.argv[1] + "/pictures")
print(report.items, report.seconds, again.seconds, before // 1000, after // 1000)
"""


def growth(counts: list[int]) -> list[dict]:
    """Peak memory of indexing: it should not grow with what is indexed."""
    rows = []
    for count in counts:
        with tempfile.TemporaryDirectory() as work:
            make_pictures(Path(work) / "pictures", count, 160, 120)
            done = subprocess.run(
                [sys.executable, "-c", GROWTH, work], capture_output=True, text=True, check=True
            )
            items, seconds, again, before, after = map(float, done.stdout.split())
            files = (file for file in Path(work, "db.lance").rglob("*") if file.is_file())
            disk = sum(file.stat().st_size for file in files)
        rows.append(
            {
                "items": int(items),
                "seconds": round(seconds, 2),
                "seconds_again": round(again, 2),
                "loaded_mb": before,
                "peak_mb": after,
                "disk_mb": round(disk / 1e6, 1),
            }
        )
        print(json.dumps(rows[-1]), flush=True)
    return rows


def search(counts: list[int]) -> list[dict]:
    """Times of a search among so many vectors, and how many of the true ten nearest it finds."""
    from chiasm.rag._store import Store

    rng = np.random.default_rng(1)
    centres = rng.standard_normal((max(counts) // 200, DIM)).astype(np.float32)

    def vectors(count: int) -> np.ndarray:
        made = centres[rng.integers(0, len(centres), count)]
        made = made + rng.standard_normal((count, DIM)).astype(np.float32)
        return made / np.linalg.norm(made, axis=1, keepdims=True)

    out = []
    for count in counts:
        with tempfile.TemporaryDirectory() as work:
            store = Store(Path(work), {"image_vector": DIM})
            empty = {field.name: None for field in store.table.schema} | {"part": 0, "words": ""}
            for first in range(0, count, 5000):
                part = enumerate(vectors(min(5000, count - first)), first)
                store.write(
                    [empty | {"id": f"{i}-0", "file": f"{i}", "image_vector": v} for i, v in part]
                )
            begun = time.perf_counter()
            store.finish()
            built = time.perf_counter() - begun
            queries = vectors(200)
            row = {"vectors": count, "build_s": round(built, 1), "indices": store.indices()}
            found = {}
            for name, exact in (("approximate", False), ("exact", True)):
                times, ids = [], []
                for query in queries:
                    begun = time.perf_counter()
                    rows = store.nearest("image_vector", query, 10, "", exact)
                    times.append(1e3 * (time.perf_counter() - begun))
                    ids.append({r["id"] for r in rows})
                found[name] = ids
                row[name] = {f"p{p}_ms": round(float(np.percentile(times, p)), 1) for p in (50, 99)}
            shared = [len(a & b) / 10 for a, b in zip(found["approximate"], found["exact"])]
            row["recall"] = round(float(np.mean(shared)), 3)
            row["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1000
        out.append(row)
        print(json.dumps(row), flush=True)
    return out


def numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["index", "growth", "search"])
    parser.add_argument("--pictures", type=int, default=1000)
    parser.add_argument("--size", default="640x480")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--items", type=numbers, default=[2500, 10000])
    parser.add_argument("--vectors", type=numbers, default=[25000, 50000, 100000])
    arguments = parser.parse_args()
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    if arguments.what == "index":
        print(json.dumps(throughput(arguments.pictures, arguments.size, arguments.rounds)))
    elif arguments.what == "growth":
        growth(arguments.items)
    else:
        search(arguments.vectors)


if __name__ == "__main__":
    main()
