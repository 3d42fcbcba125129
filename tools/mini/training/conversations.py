"""Token rows for training: one picture followed by several questions that do not see each other."""

from dataclasses import dataclass, fields

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from ..pictures.sample import IGNORE, Sample
from ..questions.ask import ask, search_text, subject
from ..questions.phrasing import Turn
from ..tokenizer import END, FAKE, GLOBAL, IMAGE, PAD, START
from .batches import patch_labels_of, pixels_of
from .places import places_of

IMAGE_ROWS = 64
ROOM = 200  # tokens of questions and answers after each picture
TWO_TURNS = 0.12  # how often a question follows another in one conversation
SLOW = 0.4  # how often a picture is asked one of the kinds that take longest to learn
FIRST_ROW = 5  # tokens before the picture's rows: start, "User", ":", fake, global


@dataclass
class JointBatch:
    """One step's tensors. B pictures with questions, then P - B whose patches alone are asked, L tokens."""

    pixels: Tensor  # uint8 [P, 3, 128, 128]
    labels: dict[str, Tensor]
    tokens: Tensor  # int64 [B, L]
    positions: Tensor  # int64 [B, L]; every question starts again behind the picture
    segments: Tensor  # int64 [B, L]; 0 for the picture's part, n for question n, -1 for padding
    targets: Tensor  # int64 [B, L]; the next token where it belongs to an answer, else IGNORE
    weights: Tensor  # float32 [B, L]; what each target counts, see `_weights`
    places: Tensor  # int64 [B, L]; where the picture shows what comes next, see `places.py`; 0: not told
    texts: Tensor  # int64 [B, T], search words
    text_ends: Tensor  # int64 [B]
    matches: Tensor  # bool [B, B], whether text j names picture i

    def to(self, device: str) -> "JointBatch":
        """The same batch on `device`."""
        moved = {field.name: getattr(self, field.name) for field in fields(self)}
        return JointBatch(
            **{
                name: {kind: values.to(device) for kind, values in value.items()}
                if isinstance(value, dict)
                else value.to(device)
                for name, value in moved.items()
            }
        )


class Conversations:
    """Turns samples into batches."""

    def __init__(self, tokenizer: Tokenizer, labelled: int = 0):
        """`labelled`: how many samples at the end of each batch are asked nothing but their patches."""
        self.tokenizer, self.labelled = tokenizer, labelled
        self.pad = tokenizer.token_to_id(PAD)
        self.prefix = self.encode(f"{START}User:{FAKE}{GLOBAL}{IMAGE * IMAGE_ROWS}{FAKE}")
        if (
            self.prefix[FIRST_ROW : FIRST_ROW + IMAGE_ROWS]
            != [tokenizer.token_to_id(IMAGE)] * IMAGE_ROWS
        ):
            raise ValueError(
                f"the prompt before the picture is not {FIRST_ROW} tokens: {self.prefix}"
            )

    def encode(self, text: str) -> list[int]:
        """Token ids of `text` as it stands."""
        return self.tokenizer.encode(text, add_special_tokens=False).ids

    def exchange(self, turn: Turn) -> tuple[list[int], list[int]]:
        """Tokens of a question and its answer, and the targets of each."""
        asked = self.encode(f"{turn.question}{END}\nAssistant:")
        answered = self.encode(f" {turn.answer}{END}")
        tokens = asked + answered
        return tokens, [IGNORE] * (len(asked) - 1) + answered + [IGNORE]

    def _asked(self, sample: Sample, rng: np.random.Generator):
        """Tokens, targets and places of one question."""
        turn = ask(rng, sample, SLOW)
        tokens, targets = self.exchange(turn)
        answer = self.tokenizer.encode(f" {turn.answer}{END}", add_special_tokens=False)
        places = places_of(turn, sample, answer.offsets)
        return tokens, targets, [0] * (len(tokens) - len(places) - 1) + places + [0]

    def _row(self, sample: Sample, rng: np.random.Generator):
        """Tokens, targets, positions, segments, weights and places of one picture."""
        start = len(self.prefix)
        tokens, targets, weights = list(self.prefix), [IGNORE] * start, [0.0] * start
        places = [0] * start
        positions, segments = list(range(start)), [0] * start
        segment = 0
        while True:
            asked, wanted, where = self._asked(sample, rng)
            if rng.random() < TWO_TURNS:
                again, more, there = self._asked(sample, rng)
                link = self.encode("\nUser: ")
                asked, wanted = asked + link + again, wanted + [IGNORE] * len(link) + more
                where += [0] * len(link) + there
            if segment and len(tokens) + len(asked) > start + ROOM:
                return tokens, targets, positions, segments, weights, places
            segment += 1
            tokens += asked
            targets += wanted
            weights += _weights(wanted)
            places += where
            positions += range(start, start + len(asked))
            segments += [segment] * len(asked)

    def collate(self, samples: list[Sample], rng: np.random.Generator) -> JointBatch:
        """A batch with as many questions for each picture as there is room for."""
        asked = samples[: len(samples) - self.labelled]
        rows = [self._row(sample, rng) for sample in asked]
        tokens, targets, positions, segments, weights, places = (
            _padded([row[part] for row in rows], fill)
            for part, fill in enumerate((self.pad, IGNORE, 0, -1, 0.0, 0))
        )
        texts = [self.encode(f"{START}{search_text(rng, sample)}{END}") for sample in asked]
        names = np.array([subject(sample) for sample in asked])
        return JointBatch(
            pixels_of(samples),
            patch_labels_of(samples),
            tokens,
            positions,
            segments,
            targets,
            weights,
            places,
            _padded(texts, self.pad),
            torch.tensor([len(text) - 1 for text in texts]),
            torch.from_numpy(names[:, None] == names[None, :]),
        )


def _weights(targets: list[int]) -> list[float]:
    """n answered tokens count as much as the root of n: else "Yes." is hardly heard beside words spelled out."""
    return [sum(target != IGNORE for target in targets) ** -0.5] * len(targets)


def _padded(rows: list[list], fill: float) -> Tensor:
    width = max(map(len, rows))
    return torch.tensor([row + [fill] * (width - len(row)) for row in rows])


def attention_mask(segments: Tensor) -> Tensor:
    """bool [B, 1, L, L]: a token sees the picture's part and what precedes it in its question."""
    query, key = segments[:, :, None], segments[:, None, :]
    length = segments.shape[1]
    causal = torch.ones(length, length, dtype=torch.bool, device=segments.device).tril()
    return (((key == 0) | (key == query)) & causal)[:, None]
