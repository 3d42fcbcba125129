"""The tiles that the model sees: /v1/tiles, and the page that draws them over its pictures."""

import base64
import json
import urllib.error
import urllib.request

import pytest
from conftest import MODELS, PICTURES
from serving import serving, shot

import chiasm
from chiasm.server import Models

WIDE = PICTURES / "wide.png"


@pytest.fixture(scope="module")
def model():
    return chiasm.load(MODELS / "smolvlm_2x2")


@pytest.fixture(scope="module")
def server(model):
    with serving(Models(chat=model, chat_name="tiled"), default_max_tokens=4) as running:
        yield running


def ask(server, **body):
    request = urllib.request.Request(
        f"{server.url}/v1/tiles", json.dumps(body).encode(), {"content-type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def url(data):
    return {"url": f"data:image/png;base64,{base64.b64encode(data).decode()}"}


def test_the_route_tells_what_the_library_does(server, model):
    status, told = ask(server, model="tiled", image=url(WIDE.read_bytes()))
    assert status == 200
    assert told == {"object": "tiles", "model": "tiled", **model.tiles(WIDE).as_dict()}


def test_the_route_refuses(server):
    whole = url(WIDE.read_bytes())
    for body, status, words in (
        ({"model": "other", "image": whole}, 404, "other"),
        ({"model": "tiled", "image": url(b"nothing")}, 400, "image"),
        ({"model": "tiled", "image": {"url": "file:///etc/passwd"}}, 400, "data"),
        ({"model": "tiled", "image": whole, "pictures": 0}, 400, "pictures"),
        ({"model": "tiled", "image": whole, "more": 1}, 400, "more"),
        ({"model": "tiled"}, 400, "image"),
    ):
        got, told = ask(server, **body)
        assert got == status and words in told["error"]["message"], told


def open_page(browser, server, **context):
    page = browser.new_context(**context).new_page()
    page.problems = []
    page.on("pageerror", lambda e: page.problems.append(str(e)))
    page.goto(server.url)
    page.wait_for_selector("#model:text-is('tiled')")
    return page


def boxes_over(page, image):
    """The tiles' boxes in pixels of the page, and those of their picture."""
    page.wait_for_selector(f"{image} ~ svg .box", state="visible")
    boxes = [b.bounding_box() for b in page.query_selector_all(f"{image} ~ svg .box")]
    return boxes, page.query_selector(image).bounding_box()


def close(got, want):
    return all(abs(got[side] - want[side]) <= 4 for side in ("x", "y", "width", "height"))


def test_tiles_lie_over_the_picture(browser, server, model):
    page = open_page(browser, server, viewport={"width": 1100, "height": 760}, color_scheme="light")
    page.set_input_files("#files", str(WIDE))
    page.wait_for_selector("#shelf img")
    assert not page.is_visible("#shelf svg")
    page.focus("#attach")
    page.keyboard.press("Tab")  # the toggle is next to it, and is used by keys
    assert page.evaluate("document.activeElement.id") == "tiles"
    page.keyboard.press("Space")
    assert page.get_attribute("#tiles", "aria-pressed") == "true"
    seen = model.tiles(WIDE)
    page.wait_for_selector(f"#shelf figcaption:text-is('{seen.caption}')")  # the page asks the server for it
    boxes, picture = boxes_over(page, "#shelf img")
    assert len(boxes) == len(seen.tiles)
    assert close(boxes[-1], picture)  # the overview is all of it
    first = {**picture, "width": picture["width"] / seen.cols, "height": picture["height"] / seen.rows}
    assert close(boxes[0], first)
    shot(page, "tiles-shelf")
    page.fill("#words", "What is this?")
    page.keyboard.press("Enter")
    page.wait_for_selector("article.assistant .facts")
    boxes, picture = boxes_over(page, "article img")
    assert len(boxes) == len(seen.tiles) and close(boxes[-1], picture)
    assert seen.caption in page.get_attribute("article svg", "aria-label")
    shot(page, "tiles-light")
    page.click("#theme")
    shot(page, "tiles-dark")
    page.click("#tiles")
    assert not page.is_visible("article svg") and not page.is_visible("article figcaption")
    assert page.problems == []
    page.context.close()


def test_tiles_on_a_phone_stay_chosen(browser, server):
    phone = {"viewport": {"width": 390, "height": 800}, "has_touch": True, "color_scheme": "dark"}
    page = open_page(browser, server, **phone)
    page.tap("#tiles")
    page.reload()
    page.wait_for_selector("#tiles[aria-pressed=true]")
    page.set_input_files("#files", [str(WIDE), str(PICTURES / "tall.png")])
    page.locator("#shelf svg .box").first.wait_for()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    shot(page, "tiles-phone-shelf")
    page.tap("#shelf button >> nth=1")  # it lies over the tiles
    page.wait_for_function("document.querySelectorAll('#shelf img').length === 1")
    page.set_input_files("#files", str(PICTURES / "tall.png"))
    page.locator("#shelf img").nth(1).wait_for()
    page.fill("#words", "What are these?")
    page.tap("#send")
    page.wait_for_selector("article.assistant .facts")
    boxes_over(page, "article figure:last-child img")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    shot(page, "tiles-phone")
    assert page.problems == []
    page.context.close()


def test_a_picture_that_cannot_be_read_says_so(browser, server):
    page = open_page(browser, server)
    page.click("#tiles")
    broken = {"name": "no.png", "mimeType": "image/png", "buffer": b"no picture"}
    page.set_input_files("#files", broken)
    page.wait_for_selector("#shelf figcaption:has-text('image')")
    assert page.problems == []
    page.context.close()


def test_the_bundled_model_shows_one_tile_and_its_tokens(browser):
    with serving(Models(chat=chiasm.load(), chat_name="tiled")) as server:
        page = open_page(browser, server, viewport={"width": 900, "height": 760})
        page.click("#tiles")
        page.set_input_files("#files", str(WIDE))
        page.wait_for_selector("#shelf svg line", state="attached")
        assert page.text_content("#shelf figcaption").startswith("whole, as ")
        shot(page, "tiles-mini")
        page.context.close()
