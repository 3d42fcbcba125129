"""Makes tests/golden/tokenizer/tekken.json, a small tokenizer as Mistral's folders hold it, and
tekken_cases.json: what mistral-common makes of texts with it.

    python tests/reference/make_tekken_golden.py       # needs mistral-common and tokenizers
"""

import base64
import json
import pathlib

from mistral_common.tokens.tokenizers.tekken import Tekkenizer
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

OUT = pathlib.Path(__file__).parents[1] / "golden" / "tokenizer"
PATTERN = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|"
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|"
    r"\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
SPECIALS = ["<unk>", "<s>", "</s>", "[INST]", "[/INST]", "[AUDIO]", "[BEGIN_AUDIO]", "[TRANSCRIBE]"]
FILLED = 12  # ids of special tokens, some without a name
WORDS = [
    "What is said in this recording, and by whom? Nobody spoke for 12 seconds; then the bell rang.\n",
    "Hören Sie die Stimme? Ja, ich höre sie – schon lange.\r\n\r\n그림 속의 소리, 音を聞く.",
    "def listen(sound):\n    return [word for word in sound if word]  # naïve\n",
]
TEXTS = [
    *WORDS,
    "",
    " ",
    "   leading and trailing   ",
    "recordingrecording  RECORDING Recording’s",
    "1234567890 0.25 x²",
    "the bell bell bell the the",
    "\t\n \r\n/\n\n//",
    "🎧 emoji \u200d and a \u0301 mark",
    "[INST] is a word of a user",
]


def vocabulary(size):
    """All bytes, then what a byte-level BPE merges of WORDS, in that order."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    made.train_from_iterator(
        WORDS * 4,
        trainers.BpeTrainer(vocab_size=size, show_progress=False, initial_alphabet=alphabet),
    )
    merged = [t for t, _ in sorted(made.get_vocab().items(), key=lambda item: item[1]) if len(t) > 1]
    kept, extra = [chr(b) for b in range(256)], []
    spelled = {c: bytes([b]) for b, c in byte_letters().items()}
    for token in merged:
        extra.append(b"".join(spelled[c] for c in token))
    return [c.encode("latin-1") for c in kept] + extra


def byte_letters():
    """GPT-2's letter for each byte."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = {b: chr(b) for b in plain}
    others = [b for b in range(256) if b not in letters]
    return {**letters, **{b: chr(256 + i) for i, b in enumerate(others)}}


def main():
    tokens = vocabulary(420)
    beyond = 5  # more are listed than are used, as in published files
    file = {
        "config": {
            "pattern": PATTERN,
            "num_vocab_tokens": len(tokens),
            "default_vocab_size": len(tokens) - beyond + FILLED,
            "default_num_special_tokens": FILLED,
            "version": "v7",
        },
        "vocab": [
            {"rank": i, "token_bytes": base64.b64encode(t).decode(), "token_str": None}
            for i, t in enumerate(tokens)
        ],
        "special_tokens": [
            {"rank": i, "token_str": s, "is_control": True} for i, s in enumerate(SPECIALS)
        ],
    }
    path = OUT / "tekken.json"
    path.write_text(json.dumps(file, separators=(",", ":")) + "\n")
    theirs = Tekkenizer.from_file(path)
    cases = [{"text": t, "ids": theirs.encode(t, bos=True, eos=False)} for t in TEXTS]
    (OUT / "tekken_cases.json").write_text(json.dumps(cases, ensure_ascii=False, indent=1) + "\n")
    print(len(tokens), [len(c["ids"]) for c in cases])


if __name__ == "__main__":
    main()
