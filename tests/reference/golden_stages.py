"""Running the reference and keeping what it computes: every stage by the name of the runtime's taps."""
import math

import numpy as np
import torch
from safetensors.numpy import save_file

MAIN_STAGES = ("vision.out", "projector.out", "logits")


class Golden:
    """Sampled tensors for golden.safetensors and their descriptions for golden.json."""

    def __init__(self):
        self.tensors = {}

    def add(self, name, values, samples):
        """Keeps every stride-th value of the flattened tensor and the norm of the whole. The stride
        has no divisor in common with the last dimension, so that every column is met."""
        array = np.ascontiguousarray(values.detach().float().numpy())
        stride = max(1, array.size // samples)
        while math.gcd(stride, array.shape[-1]) != 1:
            stride += 1
        flat = array.reshape(-1)
        self.tensors[name] = flat[::stride].copy()
        return {"tensor": name, "shape": list(array.shape), "stride": stride,
                "norm": float(np.linalg.norm(flat.astype(np.float64)))}

    def array(self, name, values, mean, std, samples, channels_last=False):
        """One array of a processor. Floats are sampled, with the sum of the 8-bit levels behind them;
        integers are kept whole, or by two sums where they are many."""
        array = np.asarray(values)
        if array.dtype.kind != "f":
            flat, out = array.reshape(-1).astype(np.int64), {"shape": list(array.shape)}
            if flat.size <= 64:
                return {**out, "values": flat.tolist()}
            return {**out, "sum": int(flat.sum()),
                    "weighted_sum": int((flat * np.arange(flat.size)).sum())}
        # Values between one channel and the next: [..., 3, height, width] or [patches, 3 * values].
        stride = array.shape[-1] * array.shape[-2] if array.ndim > 3 else array.shape[-1] // 3
        stride = 1 if channels_last else stride
        channel = (np.arange(array.size) // stride) % 3
        levels = array.reshape(-1).astype(np.float64) * np.array(std)[channel]
        levels = np.rint((levels + np.array(mean)[channel]) * 255)
        return {**self.add(name, torch.as_tensor(values), samples), "level_sum": int(levels.sum()),
                "channel_stride": stride}

    def save(self, path):
        save_file(self.tensors, path)


class Stages:
    """Hooks that record a model's intermediates: used as a context around one forward pass."""

    def __init__(self, model):
        self.values, self.handles, self.calls = {}, [], {}
        core = model.base_model
        decoder = core
        if hasattr(core, "vision_model"):
            decoder, tower = core.text_model, core.vision_model
            self.hook(tower.embeddings, "vision.embed")
            for i, layer in enumerate(tower.encoder.layers):
                self.hook(layer, f"vision.layers.{i}")
            self.hook(tower.post_layernorm, "vision.out")
            self.hook(core.connector, "projector.out")
        layers = decoder.h if hasattr(decoder, "h") else decoder.layers
        first = layers[0]
        self.handles.append(first.register_forward_pre_hook(
            lambda _, args, kwargs: self.keep("decoder.embed", args[0] if args
                                              else kwargs["hidden_states"]), with_kwargs=True))
        for i, layer in enumerate(layers):
            self.hook(layer, f"decoder.layers.{i}")
        last = next(name for name in ("norm", "embedding_norm", "ln_f", "norm_f") if hasattr(decoder, name))
        self.hook(getattr(decoder, last), "decoder.norm")

    def hook(self, module, name):
        def record(_, __, output):
            self.keep(name, output[0] if isinstance(output, tuple) else output)
        self.handles.append(module.register_forward_hook(record))

    def keep(self, name, tensor):
        self.values[name] = tensor.detach().reshape(-1, tensor.shape[-1]).clone()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for handle in self.handles:
            handle.remove()


def run_stages(model, inputs):
    """All stages of one forward pass over the whole prompt: name -> [rows, columns]."""
    with torch.inference_mode(), Stages(model) as stages:
        stages.keep("logits", model(**inputs).logits)  # a head may have a softcap behind it
    return stages.values


def greedy(model, inputs, tokens, **options):
    """The greedy continuation and the smallest lead of a chosen token over the next, in logits."""
    with torch.inference_mode():
        out = model.generate(**inputs, do_sample=False, max_new_tokens=tokens, output_scores=True,
                             return_dict_in_generate=True, **options)
    ids = out.sequences[0, inputs["input_ids"].shape[1]:].tolist()
    tops = torch.stack([s[0] for s in out.scores]).topk(2).values
    return ids, float((tops[:, 0] - tops[:, 1]).min())


def score(model, inputs, answer_ids):
    """Total log-probability of the answer after the prompt, from float32 logits, summed in double."""
    n = inputs["input_ids"].shape[1]
    ids = torch.cat([inputs["input_ids"], torch.tensor([answer_ids])], dim=1)
    with torch.inference_mode():
        more = {**inputs, "input_ids": ids, "attention_mask": torch.ones_like(ids)}
        logits = model(**more).logits[0, n - 1:-1].double()
    chosen = torch.log_softmax(logits, -1)[range(len(answer_ids)), answer_ids]
    return float(chosen.sum())
