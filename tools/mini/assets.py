"""The three pictures that the demonstration asks about: a photograph, a scene, a printed sign."""

from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from .pictures.fonts import font_files

SIDE = 256


def draw_assets(folder: Path) -> None:
    """Writes photo.png (the cat of scikit-image, public domain), scene.png and sign.png."""
    from skimage import data

    folder.mkdir(parents=True, exist_ok=True)
    cat = Image.fromarray(data.chelsea())
    side = cat.height
    cat.crop((70, 0, 70 + side, side)).resize((SIDE, SIDE), Image.Resampling.LANCZOS).quantize(
        128
    ).save(folder / "photo.png")
    _scene().save(folder / "scene.png", optimize=True)
    _sign().save(folder / "sign.png", optimize=True)


def _scene() -> Image.Image:
    """A red circle, a blue square to its right, a green triangle below."""
    scene = Image.new("RGB", (SIDE * 2, SIDE * 2), (250, 250, 245))
    draw = ImageDraw.Draw(scene)
    draw.ellipse((60, 70, 200, 210), fill=(214, 40, 40))
    draw.rectangle((310, 80, 440, 210), fill=(40, 80, 220))
    draw.polygon(((250, 300), (330, 440), (170, 440)), fill=(40, 160, 70))
    return scene.resize((SIDE, SIDE), Image.Resampling.LANCZOS)


def _sign() -> Image.Image:
    sign = Image.new("RGB", (SIDE, SIDE), (20, 90, 50))
    draw = ImageDraw.Draw(sign)
    draw.rectangle((8, 8, SIDE - 9, SIDE - 9), outline=(245, 245, 245), width=4)
    bold = next(path for path in font_files() if path.endswith("DejaVuSans-Bold.ttf"))
    draw.text(
        (SIDE / 2, SIDE / 2),
        "OPEN",
        fill=(245, 245, 245),
        font=ImageFont.truetype(bold, 64),
        anchor="mm",
    )
    return sign
