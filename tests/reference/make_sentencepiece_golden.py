"""Writes tests/golden/tokenizer/sentencepiece.json: the ways in which published folders surround
SentencePiece's models (dummy prefix, decoders, byte fallback), upon the vocabularies that
make_tokenizer_golden.py made, and hashes of what the `tokenizers` library makes of texts.

A variant replaces keys of its base's tokenizer.json; its `model` is a merge patch (RFC 7396). `bytes` appends the 256 byte tokens to a
Unigram vocabulary. Hashes are of blocks of texts, see tests/unit/sentencepiece_test.cpp.

Run: python tests/reference/make_sentencepiece_golden.py
"""
import json
import struct

from tokenizers import Tokenizer

from make_tokenizer_golden import OUT, Random, fnv, text

TEXTS, BLOCK, SEQUENCES = 6_000, 100, 1_500
REPLACE = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
PREPEND = {"type": "Prepend", "prepend": "▁"}
BACK = {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}
FALLBACK, FUSE = {"type": "ByteFallback"}, {"type": "Fuse"}
STRIP = {"type": "Strip", "content": " ", "start": 1, "stop": 0}


def metaspace(scheme, split):
    return {"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": split}


def chain(*parts, key="decoders"):
    return {"type": "Sequence", key: list(parts)}


def begin(token, id):
    return {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": token, "type_id": 0}},
                                                     {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {token: {"id": token, "ids": [id], "tokens": [token]}}}


def tokens(first, *contents, **flags):
    return [{"id": first + i, "content": c, "single_word": False, "lstrip": False, "rstrip": False,
             "normalized": False, "special": True, **flags} for i, c in enumerate(contents)]


def variants():
    sentence = json.loads((OUT / "sentence.json").read_text())
    unigram = json.loads((OUT / "unigram.json").read_text())
    specials, size = sentence["added_tokens"], len(sentence["model"]["vocab"])
    pieces = len(unigram["model"]["vocab"])
    yield "phi3", "sentence", {"added_tokens": specials + tokens(
        size, "<|im_start|>", "<|im_end|>", "<image>", rstrip=True) + tokens(
        size + 3, "<tool_call>", special=False, rstrip=True), "post_processor": begin("<s>", 1)}
    yield "llama2_without_legacy", "sentence", {
        "normalizer": None, "pre_tokenizer": metaspace("first", False),
        "added_tokens": specials + tokens(size, "<|im_start|>", "<mask>"),
        "decoder": chain(BACK, FALLBACK, FUSE, STRIP)}
    runs = ["\n\n", "\n\n\n", "▁▁", "▁▁▁▁", "<div class=\"a\">"]  # those of the vocabulary keep their ids
    vocab = sentence["model"]["vocab"]
    new = [run for run in runs if run not in vocab]
    known = [t for run in runs if run in vocab for t in tokens(vocab[run], run, special=False)]
    yield "gemma", "sentence", {
        "normalizer": REPLACE,
        "pre_tokenizer": {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious",
                          "invert": False},
        "added_tokens": specials + known + tokens(size, *new, special=False)
        + tokens(size + len(new), "<image>", "<|im_start|>"),
        "decoder": chain(BACK, FALLBACK, FUSE), "post_processor": begin("<s>", 1)}
    yield "every_word_marked", "sentence", {"normalizer": None, "pre_tokenizer": metaspace("always", True),
                                            "decoder": chain(FALLBACK, metaspace("always", True))}
    yield "merges_ignored", "sentence", {"model": {"ignore_merges": True}, "normalizer": REPLACE,
                                         "pre_tokenizer": metaspace("never", True)}
    yield "some_bytes_missing", "sentence", {"model": {"vocab": {f"<0x{b:02X}>": None for b in range(0xE2, 0xEC)}}}
    yield "no_bytes", "sentence", {"model": {"byte_fallback": False, "fuse_unk": False}}
    yield "unknown_ones_fused", "sentence", {"model": {"byte_fallback": False}}
    yield "unigram_bytes", "unigram", {
        "model": {"byte_fallback": True}, "decoder": chain(FALLBACK, metaspace("always", True)), "bytes": True}
    yield "unigram_llama", "unigram", {
        "model": {"byte_fallback": True}, "normalizer": chain(PREPEND, REPLACE, key="normalizers"),
        "pre_tokenizer": None, "decoder": chain(BACK, FALLBACK, FUSE, STRIP), "bytes": True,
        "added_tokens": unigram["added_tokens"] + tokens(pieces + 256, "<|im_start|>", "<mask>", lstrip=True)}
    yield "t5", "unigram", {
        "normalizer": chain({"type": "NFKC"}, {"type": "Strip", "strip_left": False, "strip_right": True},
                            {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": "▁"},
                            key="normalizers")}


def merged(value, patch):
    if not isinstance(patch, dict):
        return patch
    out = dict(value) if isinstance(value, dict) else {}
    for key, part in patch.items():
        if part is None:
            out.pop(key, None)
        else:
            out[key] = merged(out.get(key), part)
    return out


def tokenizer_of(base, patch):
    value = json.loads((OUT / f"{base}.json").read_text())
    value.update({**patch, "model": merged(value["model"], patch.get("model", {}))})
    if value.pop("bytes", False):
        value["model"]["vocab"] += [[f"<0x{b:02X}>", 0.0] for b in range(256)]
    return Tokenizer.from_str(json.dumps(value))


def blocks(items):
    """One hash of the concatenated bytes of each block, hexadecimal."""
    return [f"{fnv(b''.join(items[i:i + BLOCK])):016x}" for i in range(0, len(items), BLOCK)]


def packed(ids):
    return struct.pack(f"<{len(ids) + 1}i", *ids, -1)


def main():
    texts, out = [text(i) for i in range(4_000_000, 4_000_000 + TEXTS)], []
    for name, base, patch in variants():
        tokenizer = tokenizer_of(base, patch)
        ids = [packed(e.ids) for e in tokenizer.encode_batch(texts)]
        size, decoded = tokenizer.get_vocab_size(), []
        for i in range(SEQUENCES):
            rand = Random(i)
            sequence = [rand(size + 3) if rand(2) else rand(300) for _ in range(1 + rand(24))]
            decoded.append(tokenizer.decode(sequence, skip_special_tokens=i % 2 == 1).encode() + b"\0")
        out.append({"name": name, "base": base, "patch": patch, "vocab": size,
                    "ids": blocks(ids), "decoded": blocks(decoded)})
        print(name, size, "tokens,", sum(len(i) // 4 - 1 for i in ids), "ids")
    lines = ",\n".join(json.dumps(v, ensure_ascii=False, separators=(",", ":")) for v in out)
    (OUT / "sentencepiece.json").write_text(
        f'{{"from":4000000,"texts":{TEXTS},"block":{BLOCK},"sequences":{SEQUENCES},"variants":[\n{lines}\n]}}\n')


if __name__ == "__main__":
    main()
