"""Tiny tokenizers of the kinds that the vision-language families ship, a few hundred tokens each."""

import json
import pathlib

from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

WORDS = [
    "The picture shows a red bicycle beside an old wall, and nobody is near it.",
    "What is this? How many people are there in the photograph?\n\n",
    "user\nDescribe the image in detail.\n\nassistant\nThere is a small house by the sea.\n\n",
    "USER: Compare the two pictures. ASSISTANT: They differ in 12 places; 3456 words, 0.25 of all.\n",
    "Nothing in the world is as soft as water, yet nothing is better at wearing the hard away.\n",
]
LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
TEKKEN = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|"
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|"
    r"\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def added(text):
    return AddedToken(text, special=True, normalized=False)


def train(tokenizer, size, first, alphabet):
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=first, show_progress=False, initial_alphabet=alphabet
    )
    tokenizer.train_from_iterator(WORDS, trainer)


def begin_with(tokenizer, token):
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{token} $A", special_tokens=[(token, tokenizer.token_to_id(token))]
    )


def byte_level(pattern, size, specials, begin=None, first=(), normalizer=None, ignore_merges=False):
    """`first` are at the start of the vocabulary, `specials` at its end."""
    t = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    t.normalizer = normalizer
    t.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pattern), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    t.decoder = decoders.ByteLevel()
    train(t, size, list(first), pre_tokenizers.ByteLevel.alphabet())
    t.add_special_tokens([added(s) for s in specials])
    if begin:
        begin_with(t, begin)
    return t


def qwen2(specials, size=310):
    """Qwen2's kind: its pattern, NFC, no beginning token."""
    return byte_level(QWEN2, size, specials, normalizer=normalizers.NFC())


def llama3(specials, first=(), begin=None, size=310):
    return byte_level(LLAMA3, size, specials, begin, first, ignore_merges=True)


def tekken(specials, size=310):
    """Mistral's newer kind: control tokens first, `<s>` before everything."""
    return byte_level(TEKKEN, size, [], "<s>", ["<unk>", "<s>", "</s>", *specials], ignore_merges=True)


def sentence_piece(first, specials, begin, prefix, size=338):
    """Byte fallback, spaces as U+2581: Llama 2 (`prefix`: one before the text) and Gemma."""
    t = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    space = normalizers.Replace(" ", "▁")
    t.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), space]) if prefix else space
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    t.decoder = decoders.Sequence(steps + ([decoders.Strip(" ", 1, 0)] if prefix else []))
    t.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")  # while training: pieces are words
    train(t, size, [*first, *(f"<0x{i:02X}>" for i in range(256))], [])
    value = json.loads(t.to_str())
    value["pre_tokenizer"] = (
        None
        if prefix
        else {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": False}
    )
    # The byte pieces are ordinary pieces of the vocabulary, not tokens to be found in a text.
    value["added_tokens"] = [a for a in value["added_tokens"] if a["content"] in first]
    t = Tokenizer.from_str(json.dumps(value))
    t.add_special_tokens([added(s) for s in specials])
    begin_with(t, begin)
    return t


def llama2(specials):
    return sentence_piece(["<unk>", "<s>", "</s>"], specials, "<s>", prefix=True)


def gemma(specials, first=()):
    return sentence_piece(["<pad>", "<eos>", "<bos>", "<unk>", *first], specials, "<bos>", prefix=False)


def write(tokenizer, folder: pathlib.Path, config: dict):
    """tokenizer.json and tokenizer_config.json. The class is the general one: under a family's own
    class transformers 5 would rebuild the tokenizer from its vocabulary."""
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    value = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": 8192,
        "clean_up_tokenization_spaces": False,
        **config,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(value, indent=1) + "\n")
