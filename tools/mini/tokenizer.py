"""A byte-level BPE whose merges all grow from the start of a word.

Ordinary BPE would cut a word read from a sign into pieces that depend on its letters, and the model
would have to learn all those pieces by sight. Here a merge joins one more letter to a piece that
starts with a space or a capital: " square" is one token, while "square" straight after a quotation
mark, as in answers that read text, is spelled letter by letter. Digits are always single.
"""

import json
import re
from collections import Counter
from pathlib import Path

import numpy as np
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from .pictures.mixture import drawn_picture
from .pictures.photos import CLASSES
from .pictures.sample import Sample
from .questions.ask import ask, search_text

START, END = "<|im_start|>", "<end_of_utterance>"
FAKE, IMAGE, GLOBAL = "<fake_token_around_image>", "<image>", "<global-img>"
PAD = "<|pad|>"
ROWS = 4  # <row_i_col_j> for pictures cut into up to 4 x 4 tiles, which the family allows
SPECIAL = (PAD, START, END, "<|im_end|>", FAKE, IMAGE, GLOBAL, "<video>") + tuple(
    f"<row_{row}_col_{column}>" for row in range(1, ROWS + 1) for column in range(1, ROWS + 1)
)
SPACE = "\u0120"  # how byte-level BPE writes a space
SIZE = 2048
FIXED_TEXT = "User:\nAssistant: "
# Words that people ask with and that the generated questions lack, so that later training can
# add them.
COMMON_WORDS = Path(__file__).parent / "common_words.txt"
CHAT_TEMPLATE = (
    "<|im_start|>{% for message in messages %}{{message['role'] | capitalize}}"
    "{% if message['content'][0]['type'] == 'image' %}{{':'}}{% else %}{{': '}}{% endif %}"
    "{% for line in message['content'] %}{% if line['type'] == 'text' %}{{line['text']}}"
    "{% elif line['type'] == 'image' %}{{ '<image>' }}{% endif %}{% endfor %}<end_of_utterance>\n"
    "{% endfor %}{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
)


def corpus(pictures: int = 30_000, seed: int = 11):
    """Questions, answers and captions, without what is quoted from signs."""
    rng = np.random.default_rng(seed)
    yield FIXED_TEXT * 100
    for word in COMMON_WORDS.read_text().split():
        yield word if word[0].isupper() else f" {word}"
    for number in range(pictures):
        if rng.random() < 0.4:
            sample = Sample("photo", np.empty(0), {"name": CLASSES[rng.integers(len(CLASSES))]})
        else:
            sample = drawn_picture(seed, number)
        turn = ask(rng, sample)
        text = f"{turn.question} {turn.answer} {search_text(rng, sample)}"
        yield re.sub(r'"[^"]*"', '""', text)


def word_starts(texts) -> Counter:
    """How often each beginning of a word occurs, as byte-level text."""
    cutter = _cutter()
    counts: Counter = Counter()
    for text in texts:
        for piece, _ in cutter.pre_tokenize_str(text):
            if piece[0] == SPACE or piece[0].isupper():
                counts.update(piece[:length] for length in range(2, len(piece) + 1))
    return counts


def _cutter():
    """SmolVLM's own pre-tokenizer: single digits, then GPT-2's words."""
    return pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )


def build(counts: Counter) -> Tokenizer:
    """The tokenizer with the most frequent beginnings; the beginning of each is as frequent."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    room = SIZE - len(SPECIAL) - len(alphabet)
    chosen = sorted(counts.items(), key=lambda entry: (-entry[1], len(entry[0]), entry[0]))[:room]
    pieces = [piece for piece, _ in sorted(chosen, key=lambda entry: len(entry[0]))]
    vocabulary = {token: number for number, token in enumerate([*SPECIAL, *alphabet, *pieces])}
    merges = [(piece[:-1], piece[-1]) for piece in pieces]
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    tokenizer.pre_tokenizer = _cutter()
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(
        [AddedToken(token, special=True, normalized=False) for token in SPECIAL]
    )
    return tokenizer


def train_tokenizer(folder: Path) -> Tokenizer:
    """Builds the tokenizer from generated text and writes it into `folder`."""
    tokenizer = build(word_starts(corpus()))
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": 1024,
        "padding_side": "left",
        "clean_up_tokenization_spaces": False,
        "bos_token": START,
        "eos_token": END,
        "pad_token": PAD,
        "fake_image_token": FAKE,
        "image_token": IMAGE,
        "global_image_token": GLOBAL,
        "end_of_utterance_token": END,
        "processor_class": "SmolVLMProcessor",
        "extra_special_tokens": {
            "fake_image_token": FAKE,
            "image_token": IMAGE,
            "global_image_token": GLOBAL,
            "end_of_utterance_token": END,
            "video_token": "<video>",
        },
    }
    (folder / "tokenizer_config.json").write_text(
        json.dumps(settings, indent=2) + "\n", encoding="utf-8"
    )
    (folder / "chat_template.jinja").write_text(CHAT_TEMPLATE, encoding="utf-8")
    return tokenizer
