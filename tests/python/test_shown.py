"""What a model shows of its inside: tiles of pictures, attention of answers."""

import io
import json
import subprocess
import sys

import numpy as np
import pytest
from conftest import GOLDEN, MODELS, PICTURES
from safetensors.numpy import load_file

import chiasm
from chiasm._explain import Explanation, token_pieces
from chiasm._tiles import Tiles

PIL = pytest.importorskip("PIL.Image")
ROOT = GOLDEN.parents[1]
SEES = sorted(
    folder.name
    for folder in MODELS.iterdir()
    if folder.name.startswith(
        ("smolvlm", "idefics3", "llava", "internvl", "qwen2_5", "qwen2_vl", "qwen3_vl")
        + ("gemma3_pan", "gemma3_sliding", "paligemma", "mistral3", "lfm2_vl")
    )
)
# float32 sums in another order, relative L2; 1e-6 is usual.
BOUND = 1e-4


def area(boxes):
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


@pytest.mark.parametrize("folder", SEES)
@pytest.mark.parametrize("size", [(96, 64), (61, 157), (300, 40), (33, 33)])
def test_tiles_are_as_many_tokens_as_the_prompt_gets(models, folder, size):
    """And what they show covers the picture, whatever was resized, padded or cut."""
    model, picture = models(folder), np.zeros((size[1], size[0], 3), np.uint8)
    placeholder = json.loads((MODELS / folder / "golden.json").read_text())["picture_prompt"]
    try:
        plan = model.plan(placeholder, images=[picture])
    except chiasm.MediaError:  # too thin for this family
        with pytest.raises(chiasm.MediaError):
            model.tiles(picture)
        return
    seen = model.tiles(picture)
    assert (seen.width, seen.height) == size
    assert (seen.tokens, len(seen.tiles)) == (plan.image_tokens, plan.tiles)
    assert sum(tile.tokens for tile in seen.tiles) == (seen.token_tiles >= 0).sum()
    for tile in seen.tiles:
        assert 0 <= tile.left < tile.right <= size[0] and 0 <= tile.top < tile.bottom <= size[1]
    parts = [tile for tile in seen.tiles if not tile.overview]
    assert (seen.rows * seen.cols or 1) == len(parts)
    if folder not in ("llava_clip", "llava_full"):  # which cut off what is beyond a square
        covered = sum((t.right - t.left) * (t.bottom - t.top) for t in parts)
        assert covered == pytest.approx(size[0] * size[1], rel=1e-3)
    # What the tokens of a tile show lies in it, and together they show all of it; but LLaVA-NeXT drops
    # whole rows of patches that are padding in part.
    slack = 0.25 if folder == "llava_next_anyres" else 2e-3
    boxes = seen.token_boxes
    for i, tile in enumerate(seen.tiles):
        own = boxes[(seen.token_tiles == i) & (area(boxes) > 0)]
        if folder.startswith("llava_onevision"):  # shrunk: tokens reach over tiles
            continue
        assert (own[:, :2] >= np.array([tile.left, tile.top]) - 0.01).all()
        assert (own[:, 2:] <= np.array([tile.right, tile.bottom]) + 0.01).all()
        assert area(own).sum() == pytest.approx(
            (tile.right - tile.left) * (tile.bottom - tile.top), rel=slack
        )


def test_tiles_of_a_wide_picture(models):
    seen = models("smolvlm_2x2").tiles(PICTURES / "wide.png")
    assert seen.rows * seen.cols == len(seen.tiles) - 1 and seen.cols > seen.rows
    assert seen.tiles[-1].overview and seen.tiles[-1][:4] == (0, 0, seen.width, seen.height)
    assert seen.tiles[0][:2] == (0, 0)
    assert seen.caption == f"{len(seen.tiles) - 1} tiles + overview, {seen.tokens} tokens"
    plain = seen.as_dict()
    assert json.loads(json.dumps(plain)) == plain
    assert plain["grid"] == {"x": [], "y": []} and len(plain["tiles"]) == len(seen.tiles)


def test_a_picture_that_is_not_cut_shows_its_tokens(models):
    seen = models("qwen2_5_vl_windows").tiles(PICTURES / "wide.png")
    x, y = seen.grid()
    assert (len(x) - 1) * (len(y) - 1) == seen.tokens
    assert x[0] == 0 and x[-1] == seen.width
    assert seen.caption.startswith("whole, as ")


def test_one_of_several_pictures_is_not_cut_by_onevision(models):
    model = models("llava_onevision_anyres")
    alone = model.tiles(PICTURES / "wide.png")
    beside = model.tiles(PICTURES / "wide.png", pictures=2)
    assert len(alone.tiles) > 1 and len(beside.tiles) == 1
    prompt = "<image><image>"
    plan = model.plan(prompt, images=[PICTURES / "wide.png"] * 2)
    assert plan.image_tokens == 2 * beside.tokens


def test_tiles_follow_the_picture_upright(models):
    stored = PIL.new("RGB", (40, 90))
    exif = stored.getexif()
    exif[0x0112] = 6  # turned by a quarter
    file = io.BytesIO()
    stored.save(file, "JPEG", exif=exif)
    seen = models("smolvlm_2x2").tiles(file.getvalue())
    assert (seen.width, seen.height) == (90, 40)


def test_tiles_are_drawn(models):
    model = models("smolvlm_2x2")
    drawn = model.tiles(PICTURES / "wide.png").draw(PICTURES / "wide.png", longest=300)
    assert max(drawn.size) == 300
    plain = PIL.open(PICTURES / "wide.png").convert("RGB").resize(drawn.size)
    differs = np.abs(np.asarray(drawn, int) - np.asarray(plain, int)).sum(axis=2) > 60
    middle = drawn.width // 2
    assert differs[:, middle - 2 : middle + 3].any(axis=1).mean() > 0.9  # the seam of two tiles


def test_models_without_eyes_have_no_tiles(text_model):
    with pytest.raises(chiasm.RequestError, match="no pictures"):
        text_model.tiles(PICTURES / "wide.png")


def test_what_is_no_picture_has_no_tiles(models):
    with pytest.raises(chiasm.MediaError):
        models("smolvlm_2x2").tiles(b"nothing")
    with pytest.raises(chiasm.RequestError, match="pictures"):
        models("smolvlm_2x2").tiles(PICTURES / "wide.png", pictures=0)
    seen = models("smolvlm_2x2").tiles(PICTURES / "wide.png")
    for nothing in (b"nothing", 5, np.zeros((4, 4), np.float64), PICTURES / "none.png"):
        with pytest.raises(chiasm.MediaError):
            seen.draw(nothing)


GOLDEN_ATTENTION = GOLDEN / "attention"
CASES = json.loads((GOLDEN_ATTENTION / "golden.json").read_text(encoding="utf-8"))["folders"]


@pytest.mark.parametrize("folder", CASES)
def test_attention_equals_the_references(models, folder):
    """Of all layers together and of each alone."""
    model, case = models(folder), CASES[folder]
    want = load_file(GOLDEN_ATTENTION / "golden.safetensors")[folder]
    images = [PICTURES / name for name in case["images"]]

    def error(got, theirs):
        return np.linalg.norm(got - theirs) / np.linalg.norm(theirs)

    seen = model.attention(case["prompt"], case["answer"], images=images)
    assert seen.weights.dtype == np.float32 and seen.weights.shape == want.shape[1:]
    assert error(seen.weights, want.mean(axis=0)) < BOUND
    assert np.abs(seen.weights.sum(axis=1) - 1).max() < 1e-5
    ids = model.prompt_ids(case["prompt"], images=images)
    assert [len(rows) for rows in seen.pictures] == [model.tiles(i).tokens for i in images]
    assert len({ids[row] for rows in seen.pictures for row in rows}) == 1  # the picture's own token
    for layer in range(len(want)):
        one = model.attention(case["prompt"], case["answer"], images=images, layers=[layer])
        assert error(one.weights, want[layer]) < BOUND


def test_an_explanation_changes_no_token(models):
    model, picture = models("smolvlm_2x2"), PICTURES / "wide.png"
    before = model.answers([picture], "What is this?", max_tokens=24)[0]
    told = model.explain(picture, "What is this?", max_tokens=24)
    after = model.answers([picture], "What is this?", max_tokens=24)[0]
    assert told.result.token_ids == before.token_ids == after.token_ids
    assert told.attention.shape == (len(before.token_ids), told.tiles.tokens)
    assert told.attention.min() >= 0 and told.attention.sum(axis=1).max() <= 1 + 1e-6
    again = model.explain(picture, "What is this?", max_tokens=24)
    assert np.array_equal(again.attention, told.attention)


def test_an_explanation_is_that_of_its_adapter():
    folder = "smolvlm_towers"
    model = chiasm.load(MODELS / "smolvlm_2x2", dtype="float32", lora={folder: GOLDEN / "lora" / folder})
    picture = PICTURES / "wide.png"
    changed = model.explain(picture, "What?", max_tokens=4, adapter=folder)
    plain = model.explain(picture, "What?", max_tokens=4, adapter="")
    assert np.abs(changed.attention[0] - plain.attention[0]).max() > 1e-4


def test_heat_adds_up_to_the_attention(models):
    """Whatever the tiles: tokens of a tile and of the overview lie over each other."""
    for folder in ("smolvlm_2x2", "llava_next_anyres", "qwen2_5_vl_windows"):
        told = models(folder).explain(PICTURES / "wide.png", "What?", max_tokens=3)
        placed = area(told.tiles.token_boxes) > 0
        heat = told.heat(1, 2)
        assert max(heat.shape) == 96
        assert heat.sum() == pytest.approx(told.attention[1][placed].sum(), rel=1e-4)


def explanation(pieces, boxes, attention, size=(8, 4)):
    tiles = Tiles(*size, 0, 0, [], np.zeros(len(boxes), np.int32), np.float32(boxes))
    result = chiasm.load().generate("A", max_tokens=1)
    return Explanation(result, pieces, np.float32(attention), tiles)


def test_heat_lies_where_the_tokens_are():
    told = explanation([" left", " all"], [(0, 0, 4, 4), (0, 0, 8, 4), (0, 0, 0, 0)], [(1, 0, 0), (0, 1, 0)])
    left, everywhere = told.heat(0, 1), told.heat(1, 2)
    assert left.shape == (48, 96)
    assert left[:, :48].sum() == pytest.approx(1) and left[:, 48:].sum() == 0
    assert everywhere[:, :48].sum() == pytest.approx(0.5)
    assert told.heat().sum() == pytest.approx(1)
    with pytest.raises(chiasm.RequestError, match="no tokens"):
        told.heat(2)


def test_words_are_told_by_their_spaces():
    told = explanation([" a", " bi", "cycle", ",", " red", " "], [(0, 0, 8, 4)], np.ones((6, 1)) / 2)
    assert [tuple(word) for word in told.words] == [("a", 0, 1), ("bicycle,", 1, 4), ("red", 4, 5)]


def test_pieces_make_up_the_text(models):
    model = models("llama_gqa")
    for text in ("a dog, 그림에는 é!", " two  spaces ", ""):
        ids = model.tokenize(text, add_special_tokens=False)
        pieces = token_pieces(model.detokenize, ids)
        assert len(pieces) == len(ids) and "".join(pieces) == model.detokenize(ids)
        assert not any("\ufffd" in piece for piece in pieces)


def test_attention_refuses(models):
    model, text = models("smolvlm_2x2"), models("llama_gqa")
    with pytest.raises(chiasm.RequestError, match="layer 99"):
        text.attention("Hello", [5], layers=[99])
    with pytest.raises(chiasm.RequestError, match="without tokens"):
        text.attention("Hello", [])
    with pytest.raises(chiasm.RequestError, match="layers"):
        text.attention("Hello", [5], layers=[])
    with pytest.raises(chiasm.RequestError, match=r"layers\[0\]"):
        text.attention("Hello", [5], layers=[-1])
    with pytest.raises(chiasm.RequestError, match="context"):
        text.attention("Hello", [5] * text.info.max_context)
    with pytest.raises(chiasm.RequestError, match="vocab|token"):
        text.attention("Hello", [10**6])
    with pytest.raises(chiasm.RequestError, match="one picture"):
        model.explain([PICTURES / "wide.png"], "What?")
    mamba = models("mamba2_tied")
    with pytest.raises(chiasm.RequestError, match="attends"):
        mamba.attention("Hello", [5])


def test_layers_that_do_not_attend_are_left_out(models):
    model = models("lfm2_mixed")  # short convolutions between its attention layers
    seen = model.attention("Hello there", [5, 6])
    assert np.abs(seen.weights.sum(axis=1) - 1).max() < 1e-5


def run(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "chiasm", "explain", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        encoding="utf-8",
    )


def test_the_command_draws_a_sheet(tmp_path):
    picture, sheet = ROOT / "docs/assets/photo.png", tmp_path / "heat.png"
    done = run(picture, "What is in this picture?", "--output", sheet, "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert " ".join(word["text"] for word in told["words"]) == told["text"].strip()
    assert all(0 < word["picture"] < 1 for word in told["words"])
    with PIL.open(sheet) as drawn:
        assert drawn.format == "PNG" and drawn.width > 192
        words = drawn.size
    one_each = run(picture, "What is in this picture?", "--output", sheet, "--tokens")
    assert one_each.returncode == 0, one_each.stderr
    with PIL.open(sheet) as drawn:
        assert drawn.size >= words
    plain = run(picture, "What is in this picture?")
    assert plain.stdout.splitlines()[0] == told["text"].strip()


def test_the_command_refuses(tmp_path):
    picture = ROOT / "docs/assets/photo.png"
    for arguments, words in (
        ([picture, "What?", "--output", tmp_path / "heat.txt"], ".png"),
        ([picture, "What?", "--layers", "1,x"], "numbers"),
        ([picture, "What?", "--layers", "99"], "layer 99"),
        ([tmp_path / "none.png", "What?"], "none.png"),
    ):
        done = run(*arguments)
        assert done.returncode == 1 and words in done.stderr.splitlines()[-1], done.stderr
    assert list(tmp_path.iterdir()) == []
