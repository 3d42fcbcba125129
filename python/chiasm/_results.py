"""Plain data that calls give back."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from chiasm import _chiasm


@dataclasses.dataclass(frozen=True)
class Usage:
    """Token counts of a request."""

    prompt_tokens: int
    """Tokens of the prompt, those of pictures and videos included."""
    image_tokens: int
    video_tokens: int
    audio_tokens: int
    cached_tokens: int
    """Prompt tokens whose keys and values were still at hand from an earlier request."""
    completion_tokens: int
    guessed_tokens: int = 0
    """Of these, such as came with another in one step (`prompt_lookup`, `draft_tokens`)."""
    rejected_tokens: int = 0
    """Guesses that proved wrong."""


@dataclasses.dataclass(frozen=True)
class Timings:
    """Seconds. Work that several requests did in one step counts for each of them."""

    preprocess: float
    encode: float
    prefill: float
    decode: float


class TokenLogprob(NamedTuple):
    """A token of the answer, its log-probability (in nats) and the best tokens at its place."""

    id: int
    text: str
    logprob: float
    top: list[tuple[int, float]]


@dataclasses.dataclass(frozen=True)
class Result:
    """An answer."""

    text: str
    token_ids: list[int]
    """The answer's tokens, without the end token."""
    finish_reason: str
    """"stop" (end token or stop text), "length" or "cancelled"."""
    usage: Usage
    timings: Timings
    logprobs: list[TokenLogprob]
    """One for each token when `logprobs` was asked for, else empty."""
    score: float | None = None
    """Of a beam search (`num_beams`): the answer's log-probability in nats over its length to the power
    of `length_penalty`, its end token counted. transformers calls it `sequences_scores`."""
    others: list[Result] = dataclasses.field(default_factory=list)
    """Of a beam search: the next best answers, `n` - 1 of them, best first."""

    def as_dict(self) -> dict[str, Any]:
        """The same as plain JSON types."""
        return dataclasses.asdict(self) | {"logprobs": [t._asdict() for t in self.logprobs]}


def result_of(native: _chiasm.Result) -> Result:
    u, t = native.usage, native.timings
    return Result(
        text=native.text,
        token_ids=native.token_ids,
        finish_reason=native.finish_reason,
        usage=Usage(
            u.prompt_tokens,
            u.image_tokens,
            u.video_tokens,
            u.audio_tokens,
            u.cached_tokens,
            u.completion_tokens,
            u.guessed_tokens,
            u.rejected_tokens,
        ),
        timings=Timings(t.preprocess, t.encode, t.prefill, t.decode),
        logprobs=[TokenLogprob(p.id, p.text, p.logprob, p.top) for p in native.logprobs],
        score=native.score,
        others=[result_of(other) for other in native.others],
    )


@dataclasses.dataclass(frozen=True)
class DeviceMemory:
    """What a model and a request take of a device's memory. Bytes are plain bytes."""

    device: str
    """As `chiasm.load(device=...)` has it: "cuda:0"."""
    name: str
    memory_bytes: int
    """All that the device has."""
    weight_bytes: int
    """Its copy of the weights, as large as they are on the host; made when they are first used."""
    kv_bytes: int
    """All pages of its KV cache, taken when the model is loaded."""
    activation_bytes: int
    """Of the request, on the one device that serves it."""
    peak_bytes: int
    """The sum of the three."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """Length and memory of a request, told before it runs. Bytes are plain bytes."""

    tokens: int
    """Prompt tokens, those of pictures, videos and sounds included."""
    image_tokens: int
    video_tokens: int
    audio_tokens: int
    frames: int
    """Frames of videos that are taken."""
    tiles: int
    """Pieces that the encoder takes whole: tiles of pictures, frames or steps in time of videos,
    windows of sounds."""
    encode_macs: int
    """Multiply-adds of the encoder and the projector for all of them."""
    weight_bytes: int
    fixed_bytes: int
    """Tokenizer, tables and program: measured while the model was loaded."""
    kv_bytes: int
    """Keys and values of the prompt and of `max_tokens` more."""
    activation_bytes: int
    draft_bytes: int
    """All of these of the draft model (`chiasm.load(draft=...)`)."""
    peak_bytes: int
    """The sum."""
    devices: list[DeviceMemory] = dataclasses.field(default_factory=list)
    """The devices that the model runs on, each with all of the model; none for the CPU."""

    def as_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


def fields_of(kind: type[Any], native: object) -> dict[str, Any]:
    """What a dataclass of type `kind` holds, by name, read from the runtime's own object."""
    return {field.name: getattr(native, field.name) for field in dataclasses.fields(kind)}


def _memory_of(native: _chiasm.DeviceState, activation_bytes: int) -> DeviceMemory:
    """What a request with such activations takes."""
    return DeviceMemory(
        device=native.device,
        name=native.name,
        memory_bytes=native.memory_bytes,
        weight_bytes=native.weight_bytes,
        kv_bytes=native.kv_bytes,
        activation_bytes=activation_bytes,
        peak_bytes=native.weight_bytes + native.kv_bytes + activation_bytes,
    )


def plan_of(native: _chiasm.Plan, devices: list[_chiasm.DeviceState]) -> Plan:
    told = {
        f.name: getattr(native, f.name) for f in dataclasses.fields(Plan) if f.name != "devices"
    }
    return Plan(devices=[_memory_of(d, native.activation_bytes) for d in devices], **told)


@dataclasses.dataclass(frozen=True)
class ModelInfo:
    """What a loaded model is."""

    family: str
    path: str
    dtype: str
    quantize: str
    packed_layout: str
    """int8, int4, gguf (the file's own blocks), or empty."""
    kv_dtype: str
    isa: str
    """The instruction set in use."""
    device: str
    """"cpu", or the names of the devices that run the model."""
    draft: str
    """The path of the model that guesses ahead; empty: none."""
    image_token: str
    """The placeholder of a picture in a prompt; empty where the model reads none."""
    audio_token: str
    """Likewise of a sound; empty for models that hear none, and for those that only transcribe."""
    video_token: str
    """The placeholder of a video; empty where the model sees none."""
    parameters: int
    weight_bytes: int
    """Resident, packed."""
    file_bytes: int
    vocab_size: int
    hidden_size: int
    layers: int
    max_context: int
    """Tokens a request may hold, prompt and answer together."""
    vision_hidden_size: int
    vision_layers: int
    image_size: int
    """Pixels of a tile's side."""
    patches_per_tile: int
    tokens_per_tile: int
    sound_rate: int
    """Samples a second that the model hears; 0: it hears no sound."""
    threads: int
    eos_token_ids: list[int]

    def as_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


def info_of(native: _chiasm.ModelInfo) -> ModelInfo:
    return ModelInfo(**fields_of(ModelInfo, native))
