"""The runtimes that can be measured: transformers, and Chiasm itself."""

from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image

MAX_TOKENS = 64


class Backend(Protocol):
    """Answers questions about pictures and embeds pictures and words."""

    def ask(self, pictures: list[Image.Image], questions: list[str]) -> list[str]:
        """One answer for each pair."""

    def nats(self, picture: Image.Image, question: str, answer: str) -> tuple[float, int] | None:
        """Negative log-likelihood of the right answer, and its tokens; None where not measured."""

    def embed_pictures(self, pictures: list[Image.Image]) -> np.ndarray:
        """float32 [pictures, size], rows of length 1."""

    def embed_texts(self, texts: list[str]) -> np.ndarray:
        """float32 [texts, size], rows of length 1."""


class TransformersBackend:
    """The reference: transformers for answers, the exported tensors for search."""

    def __init__(self, folder: Path, dtype: str):
        import torch
        from tokenizers import Tokenizer
        from transformers import AutoModelForImageTextToText, AutoProcessor

        from ..export import load_weights
        from ..network.mini import Mini

        self.torch = torch
        self.processor = AutoProcessor.from_pretrained(folder, local_files_only=True)
        self.model = AutoModelForImageTextToText.from_pretrained(
            folder, local_files_only=True, dtype=getattr(torch, dtype)
        ).eval()
        self.mini = Mini().eval()
        load_weights(self.mini, folder)
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))

    def inputs(self, pictures, questions):
        """What the model takes for all pairs, as one batch."""
        prompts = [
            self.processor.apply_chat_template(
                [
                    {
                        "role": "user",
                        "content": [{"type": "image"}, {"type": "text", "text": question}],
                    }
                ],
                add_generation_prompt=True,
            )
            for question in questions
        ]
        return self.processor(
            text=prompts,
            images=[[picture] for picture in pictures],
            padding=True,
            return_tensors="pt",
        ).to(self.model.dtype)

    def ask(self, pictures, questions):
        """Greedy answers, all pairs in one batch."""
        inputs = self.inputs(pictures, questions)
        with self.torch.no_grad():
            output = self.model.generate(**inputs, max_new_tokens=MAX_TOKENS, do_sample=False)
        answers = output[:, inputs.input_ids.shape[1] :]
        return [
            text.strip() for text in self.processor.batch_decode(answers, skip_special_tokens=True)
        ]

    def nats(self, picture, question, answer):
        """Not measured here."""
        return None

    def embed_pictures(self, pictures):
        """Mean of the patch rows, projected (see the README)."""
        pixels = self.processor.image_processor(
            [[picture] for picture in pictures], return_tensors="pt"
        ).pixel_values
        with self.torch.no_grad():
            return self.mini.picture_row(self.mini.see(pixels[:, 0])).numpy()

    def embed_texts(self, texts):
        """The last hidden row of each text, projected."""
        rows = [
            self.tokenizer.encode(f"<|im_start|>{text}<end_of_utterance>").ids for text in texts
        ]
        width = max(map(len, rows))
        tokens = self.torch.tensor([row + [0] * (width - len(row)) for row in rows])
        ends = self.torch.tensor([len(row) - 1 for row in rows])
        with self.torch.no_grad():
            return self.mini.text_row(tokens, ends).numpy()


class ChiasmBackend:
    """Chiasm's Python package. `dtype` may also name a quantisation, such as int8."""

    def __init__(self, folder: Path, dtype: str):
        import chiasm

        format_of_weights = {"quantize": dtype} if dtype.startswith("int") else {"dtype": dtype}
        self.model = chiasm.load(folder, **format_of_weights)
        self.embedder = chiasm.load_embedder(folder, **format_of_weights)

    def ask(self, pictures, questions):
        """Greedy answers, all pairs in one batch."""
        answers = self.model.ask(
            [np.asarray(picture) for picture in pictures], questions, max_tokens=MAX_TOKENS
        )
        return [answer.strip() for answer in answers]

    def nats(self, picture, question, answer):
        """The answer's tokens without the one that ends it."""
        content = [
            {"type": "image", "image": np.asarray(picture)},
            {"type": "text", "text": question},
        ]
        words = f" {answer}"
        score = self.model.score([{"role": "user", "content": content}], [words])[0]
        return -score, len(self.model.tokenize(words, add_special_tokens=False))

    def embed_pictures(self, pictures):
        """Rows of the search head."""
        return self.embedder.embed_image([np.asarray(picture) for picture in pictures])

    def embed_texts(self, texts):
        """Rows of the search head."""
        return self.embedder.embed_text(texts)


BACKENDS = {"transformers": TransformersBackend, "chiasm": ChiasmBackend}
