"""From a file's bytes to its items. Each reader yields them as it comes by them."""

from __future__ import annotations

import contextlib
import io
import re
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from chiasm import _chiasm
from chiasm.errors import Error, MediaError, RequestError
from chiasm.rag._items import Item, Pixels, seen
from chiasm.rag._passages import PASSAGE, passages

if TYPE_CHECKING:
    from chiasm._model import Model

_MOST_PIXELS = 100_000_000
_PAGE_PIXELS = 1024
"""Of a rendered page's longer side: what embedders see of it is smaller still."""
_MOST_PAGES = 10_000
_PDFIUM = threading.Lock()
"""PDFium is not to be called from two threads at once."""
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f]")


def read_picture(data: bytes) -> Iterator[Item]:
    yield seen("picture", _chiasm.ImageInput.decoded(data, "picture", _MOST_PIXELS))


def read_text(data: bytes) -> Iterator[Item]:
    for line, passage in passages(decoded(data)):
        yield Item("passage", text=passage, line=line)


def decoded(data: bytes) -> str:
    """UTF-8, UTF-16 with a mark at its beginning, else Western European. Lines end in \\n."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        encodings = ["utf-16"]
    else:
        encodings = ["utf-8-sig", "cp1252"]
    for encoding in encodings:
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if not _CONTROL.search(text):
            return text.replace("\r\n", "\n").replace("\r", "\n")
    raise MediaError("no text: it holds bytes that no known encoding explains")


def read_pdf(data: bytes) -> Iterator[Item]:
    """For each page its picture, then the passages of its text."""
    with _opened(data) as document:
        for number in range(len(document)):
            pixels = _rendered(document, number)
            yield seen("page", _chiasm.ImageInput.from_pixels(pixels, "page"), page=number + 1)
            for _, passage in passages(_page_text(document, number)):
                yield Item("passage", text=passage, page=number + 1)


def page_pixels(data: bytes, number: int) -> Pixels:
    """A page of a PDF, counted from 0, as it is indexed."""
    with _opened(data) as document:
        if not 0 <= number < len(document):
            raise MediaError(f"no page {number + 1}: there are {len(document)}")
        return _rendered(document, number)


@contextlib.contextmanager
def _opened(data: bytes) -> Iterator[Any]:
    pdfium = _pdfium()
    with _PDFIUM:
        try:
            document = pdfium.PdfDocument(data)
        except pdfium.PdfiumError as e:
            raise MediaError(f"PDFium cannot open it: {e}") from e
    try:
        if len(document) > _MOST_PAGES:
            raise MediaError(f"{len(document):,} pages, over the limit of {_MOST_PAGES:,}")
        yield document
    except pdfium.PdfiumError as e:
        raise MediaError(f"damaged PDF: {e}") from e
    finally:
        with _PDFIUM:
            document.close()


def _rendered(document: Any, number: int) -> Pixels:
    with _PDFIUM:
        page = document[number]
        scale = _PAGE_PIXELS / max(*page.get_size(), 1.0)
        pixels: Pixels = page.render(scale=scale, rev_byteorder=True).to_numpy()[:, :, :3].copy()
        page.close()
        return pixels


def _page_text(document: Any, number: int) -> str:
    with _PDFIUM:
        page = document[number]
        words: str = page.get_textpage().get_text_bounded()
        page.close()
    return _CONTROL.sub(" ", words.replace("\r\n", "\n"))


def _pdfium() -> Any:
    try:
        import pypdfium2
    except ImportError as e:
        raise RequestError('PDFs need pypdfium2: pip install "chiasm[rag]"') from e
    return pypdfium2


def read_sound(data: bytes, model: Model | None) -> Iterator[Item]:
    """What is said, in stretches of a passage's length."""
    if model is None:
        raise MediaError("sound is indexed by what is said in it: name a speech model")
    held: list[Any] = []
    try:
        segments = model.transcribe(data).segments
    except Error as e:
        raise MediaError(str(e)) from e
    for segment in segments:
        if held and sum(len(s.text) for s in held) + len(segment.text) > PASSAGE:
            yield _stretch(held)
            held = []
        held.append(segment)
    if held:
        yield _stretch(held)


def _stretch(segments: list[Any]) -> Item:
    words = " ".join(s.text.strip() for s in segments)
    return Item("speech", text=words, start=segments[0].start, end=segments[-1].end)
