"""A validation fast enough to repeat in training: is every token of the answer the likeliest?

An answer all of whose tokens are the likeliest after the right ones before them is the answer that
greedy decoding gives, so this is exact match without decoding.
"""

from collections import defaultdict

import numpy as np
import torch

from ..network.mini import Mini
from ..pictures.mixture import VALIDATION
from ..pictures.sample import Sample
from ..questions.ask import ask, subject
from .batches import normalise, pixels_of
from .conversations import FIRST_ROW, Conversations

CHUNK = 50
QUESTIONS = 4  # a picture


class QuickCheck:
    """Fixed pictures and questions, kept as token rows."""

    def __init__(self, conversations: Conversations, samples: list[Sample]):
        rng = np.random.default_rng(VALIDATION)
        self.samples, self.conversations = samples, conversations
        self.turns = [[ask(rng, sample) for _ in range(QUESTIONS)] for sample in samples]

    def measure(self, mini: Mini, device: str) -> dict[str, float]:
        """Share of exact answers by topic, and recall@5 of photographs by name."""
        right = defaultdict(list)
        rows = []
        for start in range(0, len(self.samples), CHUNK):
            samples = self.samples[start : start + CHUNK]
            with torch.autocast(device, torch.bfloat16):
                patches = mini.see(normalise(pixels_of(samples).to(device)))
                rows.append(mini.picture_row(patches))
                crossed = mini.cross(patches)
                for number in range(QUESTIONS):
                    turns = [asked[number] for asked in self.turns[start : start + CHUNK]]
                    for turn, exact in zip(turns, self._exact(mini, crossed, turns, device)):
                        right[turn.topic].append(exact)
            figures = {topic: float(np.mean(exact)) for topic, exact in sorted(right.items())}
        return figures | {"search@5": self._recall(mini, torch.cat(rows), device)}

    def _exact(self, mini, crossed, turns, device):
        prefix = self.conversations.prefix
        exchanges = [self.conversations.exchange(turn) for turn in turns]
        width = max(len(tokens) for tokens, _ in exchanges)
        pad = self.conversations.pad
        tokens = torch.tensor(
            [prefix + asked + [pad] * (width - len(asked)) for asked, _ in exchanges], device=device
        )
        targets = torch.tensor(
            [
                [-100] * len(prefix) + wanted + [-100] * (width - len(wanted))
                for _, wanted in exchanges
            ],
            device=device,
        )
        positions = torch.arange(tokens.shape[1], device=device).expand_as(tokens)
        hidden = mini.read(tokens, positions, None, crossed, FIRST_ROW)
        likeliest = mini.logits(hidden).argmax(-1)
        return ((likeliest == targets) | (targets < 0)).all(dim=1).tolist()

    def _recall(self, mini, pictures, device) -> float:
        """How often a picture with the right subject is among the five nearest to its words."""
        subjects = [subject(sample) for sample in self.samples]
        names = sorted(set(subjects))
        found = []
        for start in range(0, len(names), CHUNK):
            part = names[start : start + CHUNK]
            encoded = [
                self.conversations.encode(f"<|im_start|>{name}<end_of_utterance>") for name in part
            ]
            width = max(map(len, encoded))
            tokens = torch.tensor(
                [row + [self.conversations.pad] * (width - len(row)) for row in encoded],
                device=device,
            )
            ends = torch.tensor([len(row) - 1 for row in encoded], device=device)
            with torch.autocast(device, torch.bfloat16):
                texts = mini.text_row(tokens, ends)
            nearest = (texts @ pictures.T).topk(5, dim=1).indices.tolist()
            found += [
                any(subjects[picture] == name for picture in near)
                for name, near in zip(part, nearest)
            ]
        return float(np.mean(found))
