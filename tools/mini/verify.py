"""Shows that transformers loads the folder and computes the same as training did and as Chiasm does:
pixels, tokens, logits, answers."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from tokenizers import Tokenizer

from .evaluation.backends import BACKENDS
from .evaluation.evaluate import BATCH
from .export import load_weights
from .network.mini import Mini
from .pictures.mixture import drawn_picture, validation_pictures
from .pictures.photos import Photos
from .questions.ask import ask
from .training.batches import normalise, pixels_of
from .training.conversations import FIRST_ROW, Conversations

LOGIT_BOUND = 1e-3  # float32 against float32; the order of the sums differs
KINDS = {"scene": 0.4, "text": 0.25, "photo": 0.2, "chart": 0.1, "display": 0.05}


def verify(folder: Path, pictures: int = 20) -> None:
    """Raises AssertionError at the first difference beyond rounding; prints the largest one."""
    from transformers import AutoModelForImageTextToText, AutoProcessor

    processor = AutoProcessor.from_pretrained(folder, local_files_only=True)
    reference = AutoModelForImageTextToText.from_pretrained(
        folder, local_files_only=True, dtype=torch.float32
    ).eval()
    mini = Mini().eval()
    load_weights(mini, folder)
    conversations = Conversations(Tokenizer.from_file(str(folder / "tokenizer.json")))
    worst = 0.0
    for number in range(pictures):
        sample = drawn_picture(77, number)
        turn = ask(np.random.default_rng(number), sample)
        messages = [
            {
                "role": "user",
                "content": [{"type": "image"}, {"type": "text", "text": turn.question}],
            }
        ]
        prompt = processor.apply_chat_template(messages, add_generation_prompt=True)
        inputs = processor(text=prompt, images=[Image.fromarray(sample.image)], return_tensors="pt")
        asked, wanted = conversations.exchange(turn)
        ours = (conversations.prefix + asked)[: inputs.input_ids.shape[1]]
        assert inputs.input_ids[0].tolist() == ours, (
            f"picture {number}: the prompt is tokenized differently"
        )
        pixels = normalise(pixels_of([sample]))
        assert torch.allclose(inputs.pixel_values[0, 0], pixels[0], atol=1e-6), (
            f"picture {number}: pixels differ"
        )
        with torch.no_grad():
            theirs = reference(**inputs).logits
            tokens = torch.tensor([ours])
            hidden = mini.read(
                tokens, torch.arange(len(ours))[None], None, mini.cross(mini.see(pixels)), FIRST_ROW
            )
            worst = max(worst, (mini.logits(hidden) - theirs).abs().max().item())
    assert worst < LOGIT_BOUND, f"logits differ by {worst}"
    print(f"transformers agrees on {pictures} pictures; largest difference of a logit {worst:.2e}")


def verify_geometry(folder: Path) -> None:
    """The training pictures are squashed exactly as the saved processor does."""
    from transformers import AutoProcessor

    from .pictures.geometry import squash

    processor = AutoProcessor.from_pretrained(folder, local_files_only=True)
    rng = np.random.default_rng(5)
    for height, width in (
        (32, 32),
        (128, 128),
        (256, 256),
        (100, 201),
        (201, 100),
        (64, 48),
        (97, 128),
        (300, 451),
    ):
        picture = rng.integers(0, 256, (height, width, 3), np.uint8)
        pixels = processor.image_processor(
            [Image.fromarray(picture)], return_tensors="pt"
        ).pixel_values[0, 0]
        ours = torch.from_numpy(squash(picture)).permute(2, 0, 1)
        assert torch.allclose(normalise(ours), pixels, atol=1e-6), (
            f"{height} x {width}: the resize differs"
        )
    print("the processor's geometry is that of training")


def verify_answers(folder: Path, data: Path | None, pictures: int) -> None:
    """Chiasm's greedy answers in float32 are transformers', on validation pictures of every kind (of
    photographs where their archive is given)."""
    photos = Photos(data) if data else None
    samples = [
        sample
        for kind, share in KINDS.items()
        if kind != "photo" or photos
        for sample in validation_pictures(photos, kind, round(pictures * share))
    ]
    while len(samples) < pictures:  # without photographs, and for what rounding lost
        samples.append(drawn_picture(78, len(samples)))
    rng = np.random.default_rng(77)
    questions = [ask(rng, sample).question for sample in samples]
    shown = [Image.fromarray(sample.image) for sample in samples]
    chiasm, reference = (BACKENDS[name](folder, "float32") for name in ("chiasm", "transformers"))
    differ = []
    for start in range(0, len(samples), BATCH):
        part = slice(start, start + BATCH)
        answers = zip(*(r.ask(shown[part], questions[part]) for r in (chiasm, reference)))
        for question, (ours, theirs) in zip(questions[part], answers):
            if ours != theirs:
                differ.append(f"{question} Chiasm: {ours} transformers: {theirs}")
    count = len(samples)
    print(f"Chiasm gives transformers' answer on {count - len(differ)} of {count} pictures")
    assert not differ, "\n".join(differ)
