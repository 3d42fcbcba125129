"""A byte-level BPE whose merges all grow from the start of a word.

Ordinary BPE would cut a word read from a sign into pieces that depend on its letters, and the model
would have to learn all those pieces by sight. Here a merge always joins one more letter to a piece that
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
ROWS = 4  # <row_i_col_j> for pictures cut into up to 4 x 4 tiles, which the processor of the family may ask for
SPECIAL = (PAD, START, END, "<|im_end|>", FAKE, IMAGE, GLOBAL, "<video>") + tuple(
    f"<row_{row}_col_{column}>" for row in range(1, ROWS + 1) for column in range(1, ROWS + 1))
SPACE = "\u0120"  # how byte-level BPE writes a space
SIZE = 2048
FIXED_TEXT = "User:\nAssistant: "
# Words that people ask with and that the generated questions lack, so that later training can add them.
COMMON_WORDS = """
about after again all also always another any anyone anything around away back bad bar beautiful because become before
begin being best better between both bottom bright bring building but button buy by call came card centre center
change child city clear close closest cloud come compare complete contain corner correct could country cut dark day
depict detail did different does done door down draw drawn each easy edge either else empty end enough equal even ever
every everything exactly example explain eye face fact false far fast few fewer find five flower food foot for found
four front full game get girl give glass go good grass great ground group grow guess half hand happen hard has have he
head hello help her here high him his hold home horizontal hot how idea if image inside into its itself just keep key
kind know land last late later leaf least left less let letter level light like likely list little live lone long look
lot low made main make man mark may me mean middle might mine more most mostly move much must my name near nearest need
never new next nine no none nor not now number object off often old on once only open or order other our out outside
own page paint pair part people perhaps person place plain plant play please point possible present quite rather read
real really right road room round row said same say scene seem seen separate set seven several she should show side
similar simple since single six sky so some someone something soon sort south space speak spell stand start stay still
street string such sun sure surface table take tall tell ten text than thank their them then these they thin thing
think those three through time tiny title today together too touch toward town tree true try turn two under until up
upper us use value very view visible visual wait walk wall want was water way we week well were west what wheel when
where while who whole why wide will window wings with within without wood word work world would write wrong yes you
your zero How Why Who When Where Which What Can Could Do Does Did Are Is Was Were Will Would Should Tell Show Name List
Find Look Give Please Describe Count Read There This That These Those It He She They We You My Your In On At From To
And Or But If Because So Hello Hi Thanks Sorry Maybe No Yes None Both All Some Any One Two Three Four Five Six
"""
CHAT_TEMPLATE = (
    "<|im_start|>{% for message in messages %}{{message['role'] | capitalize}}"
    "{% if message['content'][0]['type'] == 'image' %}{{':'}}{% else %}{{': '}}{% endif %}"
    "{% for line in message['content'] %}{% if line['type'] == 'text' %}{{line['text']}}"
    "{% elif line['type'] == 'image' %}{{ '<image>' }}{% endif %}{% endfor %}<end_of_utterance>\n"
    "{% endfor %}{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}")


def corpus(pictures: int = 30_000, seed: int = 11):
    """Questions, answers and captions, without what is quoted from signs."""
    rng = np.random.default_rng(seed)
    yield FIXED_TEXT * 100
    for word in COMMON_WORDS.split():
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
    return pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])


def build(counts: Counter) -> Tokenizer:
    """The tokenizer with the most frequent beginnings; each one's own beginning is at least as frequent."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    room = SIZE - len(SPECIAL) - len(alphabet)
    chosen = sorted(counts.items(), key=lambda entry: (-entry[1], len(entry[0]), entry[0]))[:room]
    pieces = [piece for piece, _ in sorted(chosen, key=lambda entry: len(entry[0]))]
    vocabulary = {token: number for number, token in enumerate([*SPECIAL, *alphabet, *pieces])}
    merges = [(piece[:-1], piece[-1]) for piece in pieces]
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    tokenizer.pre_tokenizer = _cutter()
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIAL])
    return tokenizer


def train_tokenizer(folder: Path) -> Tokenizer:
    """Builds the tokenizer from generated text and writes it into `folder`."""
    tokenizer = build(word_starts(corpus()))
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 1024, "padding_side": "left",
        "clean_up_tokenization_spaces": False, "bos_token": START, "eos_token": END, "pad_token": PAD,
        "fake_image_token": FAKE, "image_token": IMAGE, "global_image_token": GLOBAL,
        "end_of_utterance_token": END, "processor_class": "SmolVLMProcessor",
        "extra_special_tokens": {"fake_image_token": FAKE, "image_token": IMAGE, "global_image_token": GLOBAL,
                                 "end_of_utterance_token": END, "video_token": "<video>"},
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    (folder / "chat_template.jinja").write_text(CHAT_TEMPLATE, encoding="utf-8")
    return tokenizer
