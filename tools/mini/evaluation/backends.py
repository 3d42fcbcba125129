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

    def embed_pictures(self, pictures: list[Image.Image]) -> np.ndarray | None:
        """float32 [pictures, size], rows of length 1; None where the runtime has no search."""

    def embed_texts(self, texts: list[str]) -> np.ndarray | None:
        """float32 [texts, size], rows of length 1; None where the runtime has no search."""


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

    def ask(self, pictures, questions):
        """Greedy answers, all pairs in one batch."""
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
        inputs = self.processor(
            text=prompts,
            images=[[picture] for picture in pictures],
            padding=True,
            return_tensors="pt",
        ).to(self.model.dtype)
        with self.torch.no_grad():
            output = self.model.generate(**inputs, max_new_tokens=MAX_TOKENS, do_sample=False)
        answers = output[:, inputs.input_ids.shape[1] :]
        return [
            text.strip() for text in self.processor.batch_decode(answers, skip_special_tokens=True)
        ]

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
        try:
            self.embedder = chiasm.load_embedder(folder)
        except chiasm.ModelError as error:
            print(f"search is not measured: {error}")
            self.embedder = None

    def ask(self, pictures, questions):
        """Greedy answers, all pairs in one batch."""
        answers = self.model.ask(
            [np.asarray(picture) for picture in pictures], questions, max_tokens=MAX_TOKENS
        )
        return [answer.strip() for answer in answers]

    def embed_pictures(self, pictures):
        """Rows of the search head."""
        return (
            self.embedder.embed_images([np.asarray(picture) for picture in pictures])
            if self.embedder
            else None
        )

    def embed_texts(self, texts):
        """Rows of the search head."""
        return self.embedder.embed_texts(texts) if self.embedder else None


BACKENDS = {"transformers": TransformersBackend, "chiasm": ChiasmBackend}
