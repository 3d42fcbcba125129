"""Weights from an integer hash, the same here and in tests/parity/hash_checkpoint.cpp, bit for bit.

Value i of a tensor comes from lane i % 4 of mix64(name_hash + i / 4): two bytes of 16 bits, whose
difference k lies in [-255, 255] with a triangular distribution of deviation 104.5. k times a power of two
is exact in bfloat16, so a bfloat16 file and float32 arithmetic agree on the weights. NumPy only.
"""
import json
import struct

import numpy as np

MASK = (1 << 64) - 1


def mix64(x):
    """splitmix64, as core/hash.h. x: uint64 array."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def name_hash(name):
    """FNV-1a of the name, 64 bits."""
    h = 0xCBF29CE484222325
    for byte in name.encode():
        h = ((h ^ byte) * 0x100000001B3) & MASK
    return h


def steps(name, first, count):
    """The integers k of values [first, first + count) of a tensor; `first` divisible by 4."""
    words = np.arange(first // 4, (first + count + 3) // 4, dtype=np.uint64)
    with np.errstate(over="ignore"):
        hashed = mix64(words + np.uint64(name_hash(name)))
    pairs = hashed.view(np.uint8).astype(np.int16)  # little-endian: lane 0 is the lowest 16 bits
    return (pairs[0::2] - pairs[1::2])[:count]


def exponent(name, shape):
    """The power of two that a tensor's k are multiplied with: about 1/sqrt(fan_in), the residual
    entered softly and the head louder (see GAINS in golden_checkpoints.py)."""
    if name.endswith("bias"):
        return -10
    if "position_embedding" in name:
        return -8
    if "embed_tokens" in name:
        return -7
    fan_in = int(np.prod(shape[1:]))
    base = 7 + (fan_in.bit_length() - 1) // 2
    if "lm_head" in name:
        base -= 2
    if any(part in name for part in ("out_proj", "o_proj", "fc2", "down_proj")):
        base += 1
    return -base


def values(name, shape, first, count, power=None):
    """float32 values [first, first + count) of a tensor, each exact in bfloat16; `power` where it is
    not the usual exponent()."""
    k = steps(name, first, count)
    if "norm" in name and name.endswith("weight"):  # 1 plus or minus up to a quarter
        return (128 + np.sign(k) * (np.abs(k) >> 3)).astype(np.float32) * np.float32(2.0**-7)
    return k.astype(np.float32) * np.float32(2.0 ** (exponent(name, shape) if power is None else power))


def bfloat16_bits(array):
    """The upper halves of float32 values that are exact in bfloat16."""
    return (array.view(np.uint32) >> np.uint32(16)).astype(np.uint16)


CHUNK = 1 << 22  # values at a time; divisible by 4


def write(tensors, path):
    """A safetensors file of (name, shape, power) in this order, as tests/parity/hash_checkpoint.cpp
    writes it."""
    header, end = {}, 0
    for name, shape, _ in tensors:
        begin, end = end, end + 2 * int(np.prod(shape))
        header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [begin, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name, shape, power in tensors:
            count = int(np.prod(shape))
            for first in range(0, count, CHUNK):
                part = values(name, shape, first, min(CHUNK, count - first), power)
                file.write(bfloat16_bits(part).tobytes())
