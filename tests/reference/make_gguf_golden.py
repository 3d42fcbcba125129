"""Makes tests/golden/gguf/.

blocks.safetensors: random GGUF blocks, and what `gguf.quants` dequantizes them to. Blocks are random
bits, but for their float16 numbers, which are finite: large and small ones, of both signs, and a
subnormal one.
pieces.json: small SentencePiece vocabularies as a GGUF file holds them, and the ids that
sentencepiece cuts texts into.

    pip install gguf==0.19.0 safetensors sentencepiece==0.2.3
    python tests/reference/make_gguf_golden.py
"""

import io
import json
import pathlib

import gguf
import numpy as np
import sentencepiece
from gguf import GGMLQuantizationType as Type
from safetensors.numpy import save_file

ROWS = 3
# Where float16 numbers stand in a block.
HALVES = {
    Type.Q4_0: [0], Type.Q4_1: [0, 2], Type.Q5_0: [0], Type.Q5_1: [0, 2], Type.Q8_0: [0],
    Type.IQ4_NL: [0], Type.Q2_K: [80, 82], Type.Q3_K: [108], Type.Q4_K: [0, 2], Type.Q5_K: [0, 2],
    Type.Q6_K: [208],
}  # fmt: skip


TEXTS = [
    "The mapped file is read once.", " two  spaces and a tab\t", "Größe, naïve café: 12345",
    "日本語 and 😀", "", "a", "\nlines\n\nof text\n", "<s> is no token of a user</s>",
]  # fmt: skip


def pieces(prefix: bool) -> dict:
    """A vocabulary trained on this repository's words, as convert_hf_to_gguf.py writes it."""
    words = (pathlib.Path(__file__).parents[2] / "docs" / "core.md").read_text().splitlines()
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(words), model_writer=model, vocab_size=500, model_type="bpe",
        byte_fallback=True, normalization_rule_name="identity", remove_extra_whitespaces=False,
        add_dummy_prefix=prefix, minloglevel=2, num_threads=1,
        user_defined_symbols=["<turn>"],
    )  # fmt: skip
    reader = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    ids = range(reader.vocab_size())
    kinds = [
        6 if reader.is_byte(i) else 2 if reader.is_unknown(i) else 3 if reader.is_control(i)
        else 4 if reader.id_to_piece(i) == "<turn>" else 1 for i in ids
    ]  # fmt: skip
    return {
        "prefix": prefix,
        "tokens": [reader.id_to_piece(i) for i in ids],
        "scores": [reader.get_score(i) for i in ids],
        "types": kinds,
        "texts": [{"text": t, "ids": [1, *reader.encode(t)]} for t in TEXTS],
    }


def main() -> None:
    random = np.random.default_rng(4)
    tensors = {}
    for kind, halves in HALVES.items():
        values, size = gguf.GGML_QUANT_SIZES[kind]
        count = ROWS * 512 // 256 if values == 256 else ROWS * 2
        blocks = random.integers(0, 256, (count, size), dtype=np.uint8)
        for at in halves:
            numbers = random.normal(0, 0.05, count).astype(np.float16)
            numbers[1] = np.float16(3e-6)
            blocks[:, at : at + 2] = numbers.view(np.uint8).reshape(count, 2)
        rows = blocks.reshape(ROWS, -1)
        name = kind.name.lower()
        tensors[f"{name}.blocks"] = rows
        tensors[f"{name}.values"] = gguf.quants.dequantize(rows, kind).astype(np.float32)
    folder = pathlib.Path(__file__).parents[1] / "golden" / "gguf"
    folder.mkdir(exist_ok=True)
    save_file(tensors, folder / "blocks.safetensors")
    (folder / "blocks.safetensors").chmod(0o644)
    text = json.dumps([pieces(True), pieces(False)], ensure_ascii=False, separators=(",", ":"))
    (folder / "pieces.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
