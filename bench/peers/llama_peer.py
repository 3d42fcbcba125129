"""llama.cpp and its mtmd through the ctypes bindings of llama-cpp-python.

Times are those of the C calls alone, so the bindings cost a few microseconds a token.
"""

from __future__ import annotations

import ctypes
import time
from typing import Any

from peers import inputs
from peers.process import forget_the_most, resident_megabytes, serve

CONTEXT = 2560


class LlamaCpp:
    def __init__(self) -> None:
        import llama_cpp.llama_cpp as llama
        import llama_cpp.mtmd_cpp as mtmd
        import numpy as np

        self._np, self._llama, self._mtmd = np, llama, mtmd
        llama.llama_backend_init()
        self._models: dict[str, Any] = {}
        self._vision: dict[str, Any] = {}

    def load(self, model: str, path: str, threads: int, mmproj: str | None = None) -> None:
        llama, mtmd = self._llama, self._mtmd
        loaded = llama.llama_model_load_from_file(path.encode(), llama.llama_model_default_params())
        params = llama.llama_context_default_params()
        params.n_ctx, params.n_batch, params.n_ubatch = CONTEXT, 2048, 512
        params.n_threads = params.n_threads_batch = threads
        context = llama.llama_init_from_model(loaded, params)
        if not loaded or not context:
            raise RuntimeError(f"cannot load {path}")
        self._models[model] = (loaded, context)
        if mmproj:
            vision = mtmd.mtmd_context_params_default()
            vision.use_gpu, vision.n_threads, vision.print_timings = False, threads, False
            self._vision[model] = mtmd.mtmd_init_from_file(mmproj.encode(), loaded, vision)
            if not self._vision[model]:
                raise RuntimeError(f"cannot load {mmproj}")

    def encode(self, model: str, seed: int) -> float:
        chunks = self._chunks(model, inputs.picture(512, seed))
        start = time.perf_counter()
        self._encode(model, self._image_chunks(chunks)[0])
        seconds = time.perf_counter() - start
        self._mtmd.mtmd_input_chunks_free(chunks)
        return seconds

    def features(self, model: str, seed: int, out: str) -> None:
        """Of the first of a 2048 x 2048 picture's tiles; that tile is the picture of `seed`."""
        whole = self._np.zeros((2048, 2048, 3), self._np.uint8)
        whole[:512, :512] = inputs.picture(512, seed)
        chunks = self._chunks(model, whole)
        tile = self._image_chunks(chunks)[0]
        self._encode(model, tile)
        tokens = self._mtmd.mtmd_input_chunk_get_n_tokens(tile)
        dim = self._llama.llama_model_n_embd(self._models[model][0])
        values = self._mtmd.mtmd_get_output_embd(self._vision[model])
        values = self._np.ctypeslib.as_array(values, (tokens, dim))
        self._np.save(out, values)
        self._mtmd.mtmd_input_chunks_free(chunks)

    def prefill(self, model: str, tokens: int, seed: int) -> float:
        self._clear(model)
        batch = self._batch(inputs.token_ids(tokens, seed))
        start = time.perf_counter()
        self._decode(model, batch)
        return time.perf_counter() - start

    def decode(self, model: str, depth: int, tokens: int, seed: int) -> float:
        self._clear(model)
        self._decode(model, self._batch(inputs.token_ids(max(1, depth), seed)))
        steps = [self._batch([i]) for i in inputs.token_ids(tokens, seed + 1)]
        start = time.perf_counter()
        for step in steps:
            self._decode(model, step)
        return time.perf_counter() - start

    def caption(self, model: str, seed: int, tokens: int) -> dict[str, float]:
        mtmd = self._mtmd
        context = self._models[model][1]
        picture = inputs.picture(2048, seed)
        self._clear(model)
        start = time.perf_counter()
        chunks = self._chunks(model, picture)
        past = ctypes.c_int32(0)
        failed = mtmd.mtmd_helper_eval_chunks(
            self._vision[model], context, chunks, 0, 0, 2048, True, ctypes.byref(past)
        )
        if failed:
            raise RuntimeError(f"mtmd_helper_eval_chunks returned {failed}")
        first = time.perf_counter()
        token = self._likeliest(model)
        for _ in range(tokens - 1):
            self._decode(model, self._batch([token]))
            token = self._likeliest(model)
        end = time.perf_counter()
        count = mtmd.mtmd_helper_get_n_tokens(chunks)
        mtmd.mtmd_input_chunks_free(chunks)
        return {"seconds": end - start, "decode": end - first, "prompt_tokens": count}

    def logits(self, model: str, ids: list[int], first: int, out: str) -> None:
        llama = self._llama
        self._clear(model)
        batch = llama.llama_batch_init(len(ids), 0, 1)
        for i, token in enumerate(ids):
            batch.token[i], batch.pos[i] = token, i
            batch.n_seq_id[i], batch.seq_id[i][0] = 1, 0
            batch.logits[i] = i >= first
        batch.n_tokens = len(ids)
        self._decode(model, batch)
        rows = [self._row(model, i) for i in range(first, len(ids))]
        self._np.save(out, self._np.stack(rows))
        llama.llama_batch_free(batch)

    def greedy(self, model: str, ids: list[int], tokens: int) -> list[int]:
        self._clear(model)
        out: list[int] = []
        step = ids
        for _ in range(tokens):
            self._decode(model, self._batch(step))
            out.append(self._likeliest(model))
            step = out[-1:]
        return out

    def memory(self, picture: int | None = None) -> dict[str, float]:
        """Now and at most; with the seed of a large picture, from when that is made."""
        if picture is not None:
            inputs.picture(2048, picture)
            forget_the_most()
        return resident_megabytes()

    def _batch(self, ids: list[int]) -> Any:
        array = (self._llama.llama_token * len(ids))(*ids)
        batch = self._llama.llama_batch_get_one(array, len(ids))
        batch.keep = array  # the batch points into it
        return batch

    def _decode(self, model: str, batch: Any) -> None:
        failed = self._llama.llama_decode(self._models[model][1], batch)
        if failed:
            raise RuntimeError(f"llama_decode returned {failed}")
        self._llama.llama_synchronize(self._models[model][1])

    def _row(self, model: str, row: int) -> Any:
        loaded, context = self._models[model]
        size = self._llama.llama_vocab_n_tokens(self._llama.llama_model_get_vocab(loaded))
        values = self._llama.llama_get_logits_ith(context, row)
        return self._np.ctypeslib.as_array(values, (size,)).copy()

    def _likeliest(self, model: str) -> int:
        return int(self._row(model, -1).argmax())

    def _clear(self, model: str) -> None:
        memory = self._llama.llama_get_memory(self._models[model][1])
        self._llama.llama_memory_clear(memory, True)

    def _chunks(self, model: str, picture: Any) -> Any:
        """A picture and a question, resized, cut into tiles and tokenized."""
        mtmd = self._mtmd
        data = picture.tobytes()
        pixels = (ctypes.c_uint8 * len(data)).from_buffer_copy(data)
        bitmap = mtmd.mtmd_bitmap_init(picture.shape[1], picture.shape[0], pixels)
        text = mtmd.mtmd_default_marker() + b"Describe this image."
        prompt = mtmd.mtmd_input_text(text, len(text), True, True)
        chunks = mtmd.mtmd_input_chunks_init()
        bitmaps = (mtmd.mtmd_bitmap_p_ctypes * 1)(bitmap)
        failed = mtmd.mtmd_tokenize(self._vision[model], chunks, ctypes.byref(prompt), bitmaps, 1)
        mtmd.mtmd_bitmap_free(bitmap)
        if failed:
            raise RuntimeError(f"mtmd_tokenize returned {failed}")
        return chunks

    def _image_chunks(self, chunks: Any) -> list[Any]:
        mtmd = self._mtmd
        count = mtmd.mtmd_input_chunks_size(chunks)
        all_of_them = [mtmd.mtmd_input_chunks_get(chunks, i) for i in range(count)]
        kind = mtmd.MTMD_INPUT_CHUNK_TYPE_IMAGE
        return [c for c in all_of_them if mtmd.mtmd_input_chunk_get_type(c) == kind]

    def _encode(self, model: str, chunk: Any) -> None:
        failed = self._mtmd.mtmd_encode_chunk(self._vision[model], chunk)
        if failed:
            raise RuntimeError(f"mtmd_encode_chunk returned {failed}")


if __name__ == "__main__":
    serve(LlamaCpp)
