"""Places that models print, told in pixels of the original picture."""

import json
import random

import numpy as np
import pytest
from conftest import MODELS, PICTURES

import chiasm
from chiasm._boxes import Sizes, read_places
from chiasm.cli import answer

LABELS = ["a dog", "", "그림 12", "the man, with a hat"]


def qwen2(label, numbers):
    pairs = ",".join(f"({x},{y})" for x, y in zip(numbers[::2], numbers[1::2]))
    named = f"<|object_ref_start|>{label}<|object_ref_end|>" if label else ""
    return f"{named}<|box_start|>{pairs}<|box_end|>"


def as_json(label, numbers):
    key = "bbox_2d" if len(numbers) == 4 else "point_2d"
    return json.dumps({key: numbers, "label": label}, ensure_ascii=False)


def internvl(label, numbers):
    return (f"<ref>{label}</ref>" if label else "") + f"<box>[{numbers}]</box>"


def paligemma(label, numbers):
    left, top, right, bottom = numbers
    return "".join(f"<loc{n:04}>" for n in (top, left, bottom, right)) + f" {label}"


# family: (how it writes a place, around and between them, its units of a side; None: resized pixels)
FORMS = {
    "qwen2_vl": (qwen2, ("There is ", " and ", "."), 1000),
    "qwen2_5_vl": (as_json, ("```json\n[\n", ",\n", "\n]\n```"), None),
    "qwen3_vl": (as_json, ("[", ", ", "]"), 1000),
    "internvl": (internvl, ("There is ", " and ", "."), 1000),
    "paligemma": (paligemma, ("", " ; ", ""), 1024),
}
ONLY_BOXES = ("internvl", "paligemma")


def random_sizes(draw):
    width, height = draw.randint(1, 4000), draw.randint(1, 4000)
    near = [28 * max(1, round(side / 28)) for side in (width, height)]
    return Sizes(width, height, *near)


@pytest.mark.parametrize("family", FORMS)
@pytest.mark.parametrize("seed", range(30))
def test_random_places_come_back(family, seed):
    write, (before, between, after), units = FORMS[family]
    draw = random.Random(seed)
    sizes = random_sizes(draw)
    wide, high = units or sizes.resized_width, units or sizes.resized_height
    wanted, written = ([], []), []
    for _ in range(draw.randint(1, 6)):
        is_box = family in ONLY_BOXES or draw.random() < 0.7
        label = draw.choice(LABELS)
        xs = sorted(draw.uniform(0, sizes.width) for _ in range(2 if is_box else 1))
        ys = sorted(draw.uniform(0, sizes.height) for _ in range(2 if is_box else 1))
        place = [n for pair in zip(xs, ys) for n in pair]
        wanted[0 if is_box else 1].append((label, place))
        most = 1023 if family == "paligemma" else 10**6
        scales = [wide / sizes.width, high / sizes.height] * 2
        unit = [min(most, round(n * scale)) for n, scale in zip(place, scales)]
        written.append(write(label, unit))
    found = read_places(family, before + between.join(written) + after, sizes)
    for want, got in zip(wanted, found):
        assert [label for label, _ in want] == [place.label for place in got]
        for (_, numbers), place in zip(want, got):
            # Half a unit is lost by rounding; a whole one at PaliGemma's far edge, its 1023.
            lost = 1.0001 if family == "paligemma" else 0.5001
            steps = [lost * sizes.width / wide, lost * sizes.height / high] * 2
            for got_number, number, step in zip(place[1:], numbers, steps):
                assert abs(got_number - number) <= step


SIZES = Sizes(200, 100, 224, 112)


@pytest.mark.parametrize("family", FORMS)
@pytest.mark.parametrize("seed", range(20))
def test_malformed_answers_give_no_exception(family, seed):
    write, (before, between, after), _ = FORMS[family]
    draw = random.Random(seed)
    whole = before + between.join(write("x", [10, 20, 30, 40]) for _ in range(3)) + after
    assert len(read_places(family, whole, SIZES)[0]) == 3
    for _ in range(200):
        text = whole[: draw.randint(0, len(whole))]
        for _ in range(draw.randint(0, 4)):
            at = draw.randint(0, len(text))
            noise = draw.choice(["{", "}", "[", '"', "<", "(", "9" * 40, "-", ",", "é"])
            text = text[:at] + noise + text[at:]
        boxes, points = read_places(family, text, SIZES)
        for box in boxes:
            assert 0 <= box.left <= box.right <= 200 and 0 <= box.top <= box.bottom <= 100
        for point in points:
            assert 0 <= point.x <= 200 and 0 <= point.y <= 100


@pytest.mark.parametrize(
    "text",
    [
        '{"bbox_2d": [NaN, 1, 2, 3]}',
        '{"bbox_2d": [1e999, 1, 2, 3]}',
        '{"bbox_2d": [' + "9" * 5000 + ", 1, 2, 3]}",
        '{"bbox_2d": [true, 1, 2, 3]}',
        '{"bbox_2d": ["1", 1, 2, 3]}',
        '{"bbox_2d": [1, 2, 3]}',
        '{"bbox_2d": {"left": 1}}',
        '{"bbox_2d": [30, 1, 2, 3]}',  # turned round
        '{"bbox_2d": [2000, 1, 3000, 3]}',  # outside
        '{"point_2d": [-5, 1]}',
        '{"a":' * 5000,
        "",
    ],
)
@pytest.mark.parametrize("family", ["qwen2_5_vl", "qwen3_vl"])
def test_no_place_at_all(family, text):
    assert read_places(family, text, SIZES) == ([], [])


def test_an_unfinished_list_gives_what_is_whole():
    text = '```json\n[{"bbox_2d": [0, 0, 500, 500], "label": "a"}, {"bbox_2d": [0, 0, 5'
    assert read_places("qwen3_vl", text, SIZES) == ([chiasm.Box("a", 0, 0, 100, 50)], [])


def test_what_reaches_over_an_edge_is_cut():
    text = '{"bbox_2d": [-50, 100, 1200, 900], "label": "a"}'
    assert read_places("qwen3_vl", text, SIZES)[0] == [chiasm.Box("a", 0, 10, 200, 90)]


def test_a_label_belongs_to_the_boxes_right_behind_it():
    two = qwen2("dogs", [0, 0, 100, 100]) + "," + qwen2("", [500, 500, 600, 600])
    assert [b.label for b in read_places("qwen2_vl", two, SIZES)[0]] == ["dogs", "dogs"]
    apart = qwen2("dogs", [0, 0, 100, 100]) + " and here: " + qwen2("", [500, 500, 600, 600])
    assert [b.label for b in read_places("qwen2_vl", apart, SIZES)[0]] == ["dogs", ""]


def test_one_label_of_several_boxes():
    text = "<ref>dogs</ref><box>[[0, 0, 100, 100], [500, 500, 600, 600], [1, 2]]</box><box>[[</box>"
    assert read_places("internvl", text, SIZES)[0] == [
        chiasm.Box("dogs", 0, 0, 20, 10),
        chiasm.Box("dogs", 100, 50, 120, 60),
    ]
    assert read_places("internvl", "<box>" + "[" * 100000 + "</box>", SIZES) == ([], [])


def test_paligemmas_masks_are_passed_over():
    text = "<loc0000><loc0512><loc1023><loc1023> " + "<seg001>" * 16 + " cat ; <loc0001> dog"
    assert read_places("paligemma", text, SIZES)[0] == [
        chiasm.Box("cat", 100, 0, 200 * 1023 / 1024, 100 * 1023 / 1024)
    ]


@pytest.mark.parametrize("shape", [(30, 77), (301, 100), (64, 64)])
def test_pixels_of_the_resized_picture(models, shape):
    model = models("qwen2_5_vl_windows")
    picture = np.full((*shape, 3), 90, np.uint8)
    patch = json.loads((MODELS / "qwen2_5_vl_windows" / "preprocessor_config.json").read_text())
    _, down, across = model.preprocess_image(picture)["image_grid_thw"][0]
    resized = [int(across) * patch["patch_size"], int(down) * patch["patch_size"]]
    assert list(model._native.picture_sizes(chiasm._media.image_input(picture))) == [
        *reversed(shape),
        *resized,
    ]
    text = as_json("it", [0, 0, *resized])
    assert model.boxes(text, picture) == [chiasm.Box("it", 0, 0, shape[1], shape[0])]


def test_an_answers_special_tokens_are_seen(models):
    model = models("qwen2_vl_merge")
    picture = str(PICTURES / "wide.png")
    out = model.generate("Hm?", max_tokens=2)
    assert model.boxes(out, picture) == [] and model.points(out, picture) == []
    with pytest.raises(chiasm.RequestError, match="answer is of type int"):
        model.boxes(7, picture)


def test_families_that_print_none(models):
    with pytest.raises(chiasm.RequestError, match="smolvlm: .*qwen2_vl"):
        models("smolvlm_2x2").boxes("", str(PICTURES / "wide.png"))


def ask(capsys, family, monkeypatch, text, **settings):
    """`chiasm ask --boxes` where the model says `text`."""
    monkeypatch.setattr(chiasm.Model, "detokenize", lambda *_, **__: text)
    answer.run(
        "Where?",
        [str(PICTURES / "wide.png")],
        boxes=True,
        model=str(MODELS / family),
        out=None,
        load={},
        settings={"max_tokens": 1},
        **settings,
    )
    return capsys.readouterr().out


def test_the_command_line_tells_places(capsys, monkeypatch):
    text = '[{"bbox_2d": [0, 0, 1000, 1000], "label": "all of\nit"}, {"point_2d": [0, 0]}]'
    size = chiasm.load(MODELS / "qwen3_vl_deepstack")._native.picture_sizes(
        chiasm._media.image_input(str(PICTURES / "wide.png"))
    )
    lines = ask(capsys, "qwen3_vl_deepstack", monkeypatch, text, json=False).splitlines()
    assert lines[1:] == [f"  box 0 0 {size[0]} {size[1]} all of it", "  point 0 0"]
    told = json.loads(ask(capsys, "qwen3_vl_deepstack", monkeypatch, text, json=True))
    assert told["boxes"] == [
        {"label": "all of\nit", "left": 0, "top": 0, "right": size[0], "bottom": size[1]}
    ]
    assert told["points"] == [{"label": "", "x": 0, "y": 0}]
    with pytest.raises(chiasm.RequestError, match="smolvlm"):
        ask(capsys, "smolvlm_2x2", monkeypatch, text, json=False)
