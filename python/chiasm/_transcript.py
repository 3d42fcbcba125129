"""Written-down speech, and the files of subtitles it becomes."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from chiasm._results import Timings

if TYPE_CHECKING:
    from chiasm import _chiasm


@dataclasses.dataclass(frozen=True)
class Segment:
    """Words between two times, in seconds."""

    start: float
    end: float
    text: str
    token_ids: list[int]
    temperature: float = 0.0
    """At which its window was written down."""
    avg_logprob: float = 0.0
    """Mean log-probability of its window's tokens, in nats."""
    compression_ratio: float = 0.0
    """Bytes of its window's tokens over those of the same packed: high where they repeat."""
    no_speech_prob: float = 0.0
    """The model's probability that nobody speaks in its window."""


@dataclasses.dataclass(frozen=True)
class Transcript:
    """What is said in a sound."""

    text: str
    language: str
    """The code of the language that is spoken, "en"."""
    duration: float
    """Of the sound, in seconds."""
    segments: list[Segment]
    timings: Timings

    def as_dict(self) -> dict[str, Any]:
        """The same as plain JSON types."""
        return dataclasses.asdict(self)

    def srt(self) -> str:
        """The segments as a SubRip file."""
        blocks = [
            f"{i}\n{_clock(s.start, ',')} --> {_clock(s.end, ',')}\n{_line(s.text)}\n"
            for i, s in enumerate(self.segments, 1)
        ]
        return "\n".join(blocks)

    def vtt(self) -> str:
        """The segments as a WebVTT file."""
        blocks = [
            f"{_clock(s.start, '.')} --> {_clock(s.end, '.')}\n{_escaped(_line(s.text))}\n"
            for s in self.segments
        ]
        return "\n".join(["WEBVTT\n", *blocks])


def segment_of(native: _chiasm.TranscriptSegment) -> Segment:
    c = native.confidence
    return Segment(
        native.start,
        native.end,
        native.text,
        native.token_ids,
        temperature=c.temperature,
        avg_logprob=c.mean_logprob,
        compression_ratio=c.compression_ratio,
        no_speech_prob=c.no_speech,
    )


def transcript_of(native: _chiasm.Transcript) -> Transcript:
    t = native.timings
    return Transcript(
        text=native.text,
        language=native.language,
        duration=native.duration,
        segments=[segment_of(segment) for segment in native.segments],
        timings=Timings(t.preprocess, t.encode, t.prefill, t.decode),
    )


def _clock(seconds: float, point: str) -> str:
    millis = round(seconds * 1000)
    rest, millis = divmod(millis, 1000)
    minutes, whole = divmod(rest, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{whole:02}{point}{millis:03}"


def _line(text: str) -> str:
    """An empty line ends a subtitle and an arrow begins one: no text may hold them."""
    return " ".join(text.split()).replace("-->", "->")


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
