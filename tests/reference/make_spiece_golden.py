"""Writes tests/golden/tokenizer/spiece/: small SentencePiece models, trained on this repository's pages, and
spiece.json: hashes of the ids that random texts are cut into, by `sentencepiece` itself where the folder names no
class of transformers, else by that class, loaded from the model file alone.

Hashes are of blocks of texts, see tests/unit/spiece_test.cpp.

Run: pip install sentencepiece==0.2.1 protobuf transformers && python tests/reference/make_spiece_golden.py
"""
import io
import json
import pathlib
import shutil
import tempfile

import sentencepiece
import transformers
from make_sentencepiece_golden import blocks, packed
from make_tokenizer_golden import OUT, text

FROM, TEXTS, BLOCK = 5_000_000, 3_000, 100
FOLDER = OUT / "spiece"
# What a small charsmap says: full width letters and other white space are plain ones.
RULES = [(0xFF21 + i, 0x41 + i) for i in range(26)] + [(c, 0x20) for c in (0x09, 0x0A, 0xA0, 0x3000)]


def train(name, **options):
    pages = sorted((pathlib.Path(__file__).parents[2] / "docs").glob("*.md"))
    lines = [line for page in pages for line in page.read_text().splitlines()]
    model = io.BytesIO()
    with tempfile.NamedTemporaryFile("w", suffix=".tsv") as rules:
        if options.pop("maps", False):
            rules.write("".join(f"{a:X}\t{b:X}\n" for a, b in RULES))
            rules.flush()
            options["normalization_rule_tsv"] = rules.name
        else:
            options["normalization_rule_name"] = "identity"
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(lines), model_writer=model, num_threads=1, minloglevel=2, **options
        )
    (FOLDER / name).write_bytes(model.getvalue())


def variants():
    """Name, model, tokenizer_config.json, and what the folder calls the model."""
    yield "unigram", "unigram.model", {}, "spiece.model"
    yield "unigram_bytes", "unigram_bytes.model", {"tokenizer_class": "PreTrainedTokenizer"}, "spiece.model"
    yield "bpe", "bpe.model", {"add_bos_token": False}, "tokenizer.model"
    yield "bpe_bare", "bpe_bare.model", {"add_bos_token": False}, "tokenizer.model"
    llama = {"tokenizer_class": "LlamaTokenizer", "add_bos_token": True, "add_eos_token": False}
    more = {"800": {"content": "<image>", "special": True, "lstrip": False, "rstrip": False,
                    "normalized": False, "single_word": False}}  # fmt: skip
    yield "llama", "bpe.model", {**llama, "added_tokens_decoder": more}, "tokenizer.model"
    yield "gemma", "bpe_bare.model", {
        "tokenizer_class": "GemmaTokenizer", "add_bos_token": True, "bos_token": "<s>", "eos_token": "</s>",
        "pad_token": "<pad>", "mask_token": None}, "tokenizer.model"  # fmt: skip
    yield "xlm_roberta", "unigram_maps.model", {"tokenizer_class": "XLMRobertaTokenizer"}, "sentencepiece.bpe.model"


def by_transformers(model, config, name, texts):
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(FOLDER / model, pathlib.Path(folder) / name)
        (pathlib.Path(folder) / "tokenizer_config.json").write_text(json.dumps(config))
        kind = getattr(transformers, config["tokenizer_class"])
        tokenizer = kind.from_pretrained(folder)
        return [tokenizer(t)["input_ids"] for t in texts]


def main():
    FOLDER.mkdir(exist_ok=True)
    train("unigram.model", model_type="unigram", vocab_size=700)
    train("unigram_bytes.model", model_type="unigram", vocab_size=900, byte_fallback=True,
          remove_extra_whitespaces=False)
    train("unigram_maps.model", model_type="unigram", vocab_size=600, maps=True)
    train("bpe.model", model_type="bpe", vocab_size=800, byte_fallback=True, remove_extra_whitespaces=False)
    train("bpe_bare.model", model_type="bpe", vocab_size=700, byte_fallback=True, add_dummy_prefix=False,
          remove_extra_whitespaces=False, pad_id=3)
    texts, out = [text(i) for i in range(FROM, FROM + TEXTS)], []
    for name, model, config, file in variants():
        own = sentencepiece.SentencePieceProcessor(model_file=str(FOLDER / model))
        plain = own.encode(texts)
        known = hasattr(transformers, config.get("tokenizer_class", "-")) and name in ("llama", "gemma", "xlm_roberta")
        ids = by_transformers(model, config, file, texts) if known else plain
        differ = sum(a[-len(b):] != b if b else bool(a[1:]) for a, b in zip(ids, plain))
        out.append({"name": name, "model": model, "config": config, "file": file, "trusted": known,
                    "ids": blocks([packed(i) for i in ids])})
        print(name, own.vocab_size(), "pieces,", sum(map(len, ids)), "ids;", differ, "texts differ from sentencepiece")
    lines = ",\n".join(json.dumps(v, ensure_ascii=False, separators=(",", ":")) for v in out)
    (FOLDER / "spiece.json").write_text(f'{{"from":{FROM},"texts":{TEXTS},"block":{BLOCK},"variants":[\n{lines}\n]}}\n')


if __name__ == "__main__":
    main()
