"""A loaded model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from chiasm import _chiasm, _media
from chiasm._adapters import Adapters
from chiasm._boxes import Box, Point, Sizes, check_family, read_places
from chiasm._devices import OnDevices
from chiasm._media import Image, Sound
from chiasm._messages import fit_template, read_messages, turn
from chiasm._options import generate_options, integer, token_ids, transcribe_options, utf8
from chiasm._pooled import PooledRows
from chiasm._requests import Messages, Prompt
from chiasm._results import Plan, Result, plan_of, result_of
from chiasm._shown import Shown
from chiasm._stream import Stream
from chiasm._transcript import Segment, Transcript, segment_of, transcript_of
from chiasm._video import Video, video_input, video_inputs
from chiasm.errors import RequestError

FloatArray = npt.NDArray[np.float32]

CAPTION = "Describe this image."
"""What is asked where nothing is."""


class Model(PooledRows, Shown, Adapters, OnDevices):
    """A loaded model: `chiasm.load` makes it. Thread-safe: calls from several threads share one
    loop and its batches. Ctrl-C ends a call with KeyboardInterrupt; the model stays usable after it, as
    after any error.

    A *picture* is a path, the bytes of a file, a PIL image or a uint8 array `[height, width, 3]`
    (RGB). A *video* is a `chiasm.Video`, the path of a file or folder, a file's bytes, a list of
    pictures or a uint8 array `[frames, height, width, 3]`. A *sound* is a path, the bytes of a WAV,
    FLAC, Ogg or MP3 file, or `(samples, rate)`: float32 samples of one channel and how many there
    are in a second. A *prompt* is a str or a list of OpenAI-shaped messages. A str is raw and trusted: no
    template is applied, special tokens in it are parsed, and it holds the model's placeholder once
    per picture (`info.image_token`) or sound (`info.audio_token`), or none, and then they go first.
    In messages the words are never structure, whatever they spell.

    Settings that calls take by keyword, as in `generate`: `max_tokens`, `temperature`, `top_k`,
    `top_p`, `min_p`, `repetition_penalty`, `presence_penalty`, `frequency_penalty`, `logit_bias`,
    `seed`, `stop`, `logprobs`, `json_schema`, `regex`, `choices`, `priority`, `adapter`, `num_beams`.
    """

    def __repr__(self) -> str:
        return f"<chiasm.Model {self.info.family} {self.info.path} {self.info.dtype}>"

    @overload
    def caption(self, image: Image, **settings: Any) -> str: ...
    @overload
    def caption(self, image: Iterable[Image], **settings: Any) -> list[str]: ...
    def caption(self, image: Image | Iterable[Image], **settings: Any) -> str | list[str]:
        """Describes a picture or a `Video`, or each of several in one batch.

        Raises:
            MediaError: A picture cannot be read.
            RequestError: A setting is out of range, or the model sees no pictures.
        """
        return self.ask(image, CAPTION, **settings)

    @overload
    def ask(self, image: Image, question: str, **settings: Any) -> str: ...
    @overload
    def ask(self, image: Iterable[Image], question: str, **settings: Any) -> list[str]: ...
    @overload
    def ask(
        self, image: Image | Iterable[Image], question: Sequence[str], **settings: Any
    ) -> list[str]: ...
    def ask(
        self, image: Image | Iterable[Image], question: str | Sequence[str], **settings: Any
    ) -> str | list[str]:
        """Answers a question about a picture or a `Video`. Several are one batch, with one question
        for all or one for each. Without the white space around the answer.
        """
        if settings.get("n", 1) != 1:
            raise RequestError("n: `ask` and `caption` give one text; `answers` gives the others")
        if _is_one(image) and isinstance(question, str):
            return self.answers([image], [question], **settings)[0].text.strip()
        if not isinstance(question, Iterable):
            raise RequestError(f"question is of type {type(question).__name__}, expected a str")
        images: list[Any] = [image] if _is_one(image) else _listed(image)
        questions = [question] * len(images) if isinstance(question, str) else list(question)
        if len(images) == 1:
            images *= len(questions)
        return [result.text.strip() for result in self.answers(images, questions, **settings)]

    def answers(
        self,
        images: Iterable[Image],
        questions: str | Sequence[str] = CAPTION,
        *,
        on_done: Callable[[int], None] | None = None,
        **settings: Any,
    ) -> list[Result]:
        """What `ask` does for lists, with whole results: token ids, usage, timings. `on_done` hears
        how many of them are done, whenever that grows."""
        pictures = _listed(images)
        words = [questions] * len(pictures) if isinstance(questions, str) else list(questions)
        options = self._options(**settings)
        if len(words) != len(pictures):
            raise RequestError(f"{len(pictures)} pictures and {len(words)} questions do not pair")
        requests = [
            self._request([turn(question, 0, 1)], None, options, f"video {i + 1}", videos=[picture])
            if isinstance(picture, Video)
            else self._request([turn(question)], [picture], options, f"image {i + 1}")
            for i, (picture, question) in enumerate(zip(pictures, words))
        ]
        return [result_of(native) for native in self._native.generate_all(requests, on_done)]

    def generate(
        self,
        prompt: Prompt,
        *,
        images: Sequence[Image] | None = None,
        audio: Sequence[Sound] | None = None,
        videos: Sequence[Any] | None = None,
        max_tokens: int = 128,
        temperature: float = 0.0,
        top_k: int = 0,
        top_p: float = 1.0,
        min_p: float = 0.0,
        repetition_penalty: float = 1.0,
        seed: int | None = None,
        stop: str | Sequence[str] = (),
        logprobs: int = 0,
        json_schema: Any = None,
        tools: Sequence[dict[str, Any]] | None = None,
        **others: Any,
    ) -> Result:
        """Continues a prompt or answers messages.

        Args:
            prompt: A raw prompt, or messages.
            images: Pictures of the prompt, in order; in messages those of items without their own.
            audio: Sounds of the prompt, likewise.
            videos: Videos of the prompt, likewise.
            max_tokens: The longest answer; with the prompt it must fit the context.
            temperature: 0 always takes the likeliest token; higher is more varied.
            top_k: Only the k likeliest tokens are drawn from; 0: all.
            top_p: Only the likeliest tokens that together reach this probability, in (0, 1].
            min_p: Only tokens at least this fraction as likely as the likeliest, in [0, 1].
            repetition_penalty: Over 1 makes tokens of prompt and answer less likely (CTRL,
                arXiv:1909.05858).
            seed: The same seed gives the same answer; None: another one each time.
            stop: Texts that end the answer and are no part of it.
            logprobs: How many alternatives to report for each token; 0: no log-probabilities.
            json_schema: The answer is JSON of this schema (a dict, or its text).
            others: `regex` (the answer matches it) and `choices` (it is one of them), as
                `json_schema` by llguidance; `logit_bias` (a dict: added to the logits of tokens by
                id), `presence_penalty` and `frequency_penalty` (taken from the logits of tokens
                that the answer has, once or each time: OpenAI's); `priority` (lower ones are
                admitted first); `tools` (what the chat template shows as functions); `adapter` (one of
                `load_adapter`'s, by name; "" takes the model as it is where `model.adapter` says
                otherwise);
                `prompt_lookup` (so many tokens are guessed ahead from what stands in prompt and
                answer and checked in one step: the same answer, sooner where it repeats or quotes);
                `context_overflow` ("refuse", or "slide": at a full context the older half of the
                answer is forgotten); `num_beams` (so many answers are followed side by side, the
                likeliest continuations of all of them each time: transformers' beam search, as are
                `length_penalty`, over 0 for longer answers, and `early_stopping`, False, True or
                "never") and with it `n` (so many of the best answers: `Result.others`);
                `draft_tokens` (as many as these are guessed at a time by the draft model that the
                model was loaded with, 0: none).

        Raises:
            RequestError: A setting is out of range or not supported, the prompt is too long, or
                pictures and placeholders do not fit.
            MediaError: A picture or a video cannot be read.
            DeviceError: A video file is given, and FFmpeg's libraries are missing.
        """
        options = self._options(
            max_tokens=max_tokens,
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            min_p=min_p,
            repetition_penalty=repetition_penalty,
            seed=seed,
            stop=stop,
            logprobs=logprobs,
            json_schema=json_schema,
            **others,
        )
        request = self._request(prompt, images, options, audio=audio, videos=videos, tools=tools)
        return result_of(self._native.generate(request))

    def choices(
        self,
        prompt: Prompt,
        n: int,
        *,
        images: Sequence[Image] | None = None,
        audio: Sequence[Sound] | None = None,
        videos: Sequence[Any] | None = None,
        **settings: Any,
    ) -> list[Result]:
        """`n` answers to one prompt, which is computed once; the i-th has the seed `seed` + i. With
        `num_beams` the `n` best, best first."""
        options = self._options(**settings)
        request = self._request(prompt, images, options, audio=audio, videos=videos)
        return [result_of(r) for r in self._native.choices(request, integer("n", n, 1, 1024))]

    def generate_all(
        self,
        prompts: Iterable[Prompt],
        *,
        images: Iterable[Sequence[Image] | None] | None = None,
        videos: Iterable[Sequence[Any] | None] | None = None,
        **settings: Any,
    ) -> list[Result]:
        """`generate` for several prompts as one batch; `images` and `videos` hold one list for each
        prompt."""
        prompts = list(prompts)
        pictures = _one_list_each("images", images, len(prompts))
        moving = _one_list_each("videos", videos, len(prompts))
        options = self._options(**settings)
        requests = [
            self._request(p, i, options, videos=v) for p, i, v in zip(prompts, pictures, moving)
        ]
        return [result_of(native) for native in self._native.generate_all(requests)]

    def stream(
        self,
        prompt: Prompt,
        *,
        images: Sequence[Image] | None = None,
        audio: Sequence[Sound] | None = None,
        videos: Sequence[Any] | None = None,
        tools: Sequence[dict[str, Any]] | None = None,
        **settings: Any,
    ) -> Stream:
        """The pieces of an answer as they are ready. Closing the stream cancels the request."""
        options = self._options(**settings)
        request = self._request(prompt, images, options, audio=audio, videos=videos, tools=tools)
        native = self._native
        return Stream(lambda receive, cancel: native.generate(request, receive, cancel))

    def plan(
        self,
        prompt: Prompt,
        *,
        images: Sequence[Image] | None = None,
        audio: Sequence[Sound] | None = None,
        videos: Sequence[Any] | None = None,
        max_tokens: int = 128,
        num_beams: int = 1,
        adapter: str | None = None,
    ) -> Plan:
        """How long a request is and what memory it takes. Decodes nothing: reads headers of pictures
        and sounds (of MP3 files all: their headers estimate) and of a video's packets."""
        options = self._options(max_tokens=max_tokens, num_beams=num_beams, adapter=adapter)
        request = self._request(prompt, images, options, audio=audio, videos=videos)
        return plan_of(self._native.plan(request), self._native.devices())

    def score(
        self,
        prompt: Prompt,
        answers: Sequence[str],
        *,
        images: Sequence[Image] | None = None,
        audio: Sequence[Sound] | None = None,
        videos: Sequence[Any] | None = None,
        adapter: str | None = None,
    ) -> list[float]:
        """The total log-probability of each answer after the prompt, in nats. An answer is
        tokenized on its own, as plain words."""
        if isinstance(answers, str):
            raise RequestError("answers: expected a list of str, got one str")
        words = [utf8(f"answers[{i}]", answer) for i, answer in enumerate(answers)]
        options = self._options(adapter=adapter)
        request = self._request(prompt, images, options, audio=audio, videos=videos)
        return self._native.score(request, words)

    def boxes(self, answer: Result | str, image: Image) -> list[Box]:
        """The boxes that an answer holds, in pixels of the upright picture it is about.

        Models print boxes in words and units of their own: qwen2_vl, qwen2_5_vl, qwen3_vl, internvl
        and paligemma are known. What is malformed is left out, what reaches over an edge is cut there.

        Args:
            answer: What `generate` or `answers` gave back, or a text with its special tokens.
            image: The picture, as the model got it.

        Raises:
            RequestError: The family prints no boxes that are known here.
            MediaError: The picture cannot be read.
        """
        return self._places(answer, image)[0]

    def points(self, answer: Result | str, image: Image) -> list[Point]:
        """Likewise the points."""
        return self._places(answer, image)[1]

    def _places(self, answer: Result | str, image: Image) -> tuple[list[Box], list[Point]]:
        check_family(self.info.family)
        if isinstance(answer, Result):
            answer = self.detokenize(answer.token_ids, skip_special_tokens=False)
        if not isinstance(answer, str):
            raise RequestError(f"answer is of type {type(answer).__name__}, expected a Result or str")
        sizes = self._native.picture_sizes(_media.image_input(image))
        return read_places(self.info.family, answer, Sizes(*sizes))

    def preprocess_image(self, image: Image) -> dict[str, npt.NDArray[Any]]:
        """What the model's own Hugging Face processor makes of a picture, under the same names."""
        return self._native.preprocess_image(_media.image_input(image))

    def encode_image(self, image: Image) -> FloatArray:
        """float32 `[n_tokens, d_model]`: a picture as the language model gets it."""
        return self._native.encode_image(_media.image_input(image))

    def preprocess_video(self, video: Any) -> dict[str, npt.NDArray[Any]]:
        """What the model's own video processor makes of the frames that are taken, under the same
        names."""
        return self._native.preprocess_video(video_input(video))

    def encode_video(self, video: Any) -> FloatArray:
        """float32 `[n_tokens, d_model]`: a video as the language model gets it."""
        return self._native.encode_video(video_input(video))

    def logits(
        self,
        prompt: Prompt | Sequence[int],
        *,
        images: Sequence[Image] | None = None,
        audio: Sequence[Sound] | None = None,
        videos: Sequence[Any] | None = None,
        adapter: str | None = None,
    ) -> FloatArray:
        """float32 `[n_tokens, vocab]`: the scores of the token after each one of the prompt.

        The prompt may also be token ids, with every image, video and sound token in place.
        """
        options = self._options(adapter=adapter)
        if _are_ids(prompt):
            request = _chiasm.Request(
                [],
                options=options,
                token_ids=token_ids("prompt", prompt),
                images=_media.image_inputs(images),
                audio=_media.sound_inputs(audio),
                videos=video_inputs(videos),
            )
        else:
            request = self._request(prompt, images, options, audio=audio, videos=videos)  # type: ignore[arg-type]
        return self._native.logits(request)

    def tokenize(self, text: str, add_special_tokens: bool = True) -> list[int]:
        """Token ids of a trusted text; `add_special_tokens`: with what goes around a text."""
        return self._native.tokenize(utf8("text", text), bool(add_special_tokens))

    def detokenize(self, ids: Iterable[int], skip_special_tokens: bool = True) -> str:
        """The text of token ids; bytes that are no UTF-8 become U+FFFD."""
        return self._native.detokenize(token_ids("ids", ids), bool(skip_special_tokens))

    def prompt_ids(
        self,
        prompt: Prompt,
        *,
        images: Sequence[Image] | None = None,
        audio: Sequence[Sound] | None = None,
        videos: Sequence[Any] | None = None,
    ) -> list[int]:
        """The token ids of a whole prompt, placeholders expanded to each medium's tokens."""
        request = self._request(prompt, images, audio=audio, videos=videos)
        return self._native.prompt_ids(request)

    def chat_prompt(self, messages: Messages, add_generation_prompt: bool = True) -> str:
        """Messages as the model's chat template writes them."""
        data, _ = read_messages(messages, complete=False)
        template = self._chat_template()
        return template.render(
            fit_template(data, template), add_generation_prompt=bool(add_generation_prompt)
        )

    def preprocess_audio(
        self, sound: Sound, rate: int | None = None
    ) -> dict[str, npt.NDArray[Any]]:
        """What the model's own feature extractor makes of a sound, under the same names."""
        self._needs_hearing()
        return self._native.preprocess_audio(_media.sound_input(sound, rate))

    def encode_audio(self, sound: Sound, rate: int | None = None) -> FloatArray:
        """float32 `[rows, d_model]`: a sound as the language model gets it."""
        self._needs_hearing()
        return self._native.encode_audio(_media.sound_input(sound, rate))

    def transcribe(
        self,
        sound: Sound,
        rate: int | None = None,
        *,
        language: str | None = None,
        task: str = "transcribe",
        timestamps: bool = True,
        temperatures: float | Sequence[float] = 0.0,
        compression_ratio_threshold: float | None = 1.35,
        logprob_threshold: float = -1.0,
        no_speech_threshold: float = 0.6,
        seed: int = 0,
        adapter: str | None = None,
        padding: str = "silence",
        on_segment: Callable[[Segment, float], None] | None = None,
    ) -> Transcript:
        """Writes down what is said in a sound of any length.

        Args:
            sound: A path, the bytes of a WAV, FLAC, Ogg or MP3 file, or float32 samples of one
                channel.
            rate: Samples a second, of samples alone.
            language: A code, "en"; None: detected in the first window of 30 s.
            task: "transcribe", or "translate" into English.
            timestamps: Whether the model tells times. Without them each window is one segment.
            temperatures: A window is written down at the first, and again at the next as long as its
                words are not to be believed; 0 is greedy. Usual: (0.0, 0.2, 0.4, 0.6, 0.8, 1.0).
            compression_ratio_threshold: Words are not believed where their tokens can be packed
                better than this: they repeat themselves. None: they may.
            logprob_threshold: Nor where their mean log-probability is under this.
            no_speech_threshold: Then, where the model is surer than this that nobody speaks, the
                window is skipped as silence.
            seed: The same seed draws the same words at temperatures over 0.
            adapter: One of `load_adapter`'s, by name; None: `model.adapter`, "": none.
            padding: What fills the window of a sound under 30 s: the features of "silence", as
                transformers has it, or "zeros", as faster-whisper.
            on_segment: Hears each segment as it is ready, and what part of the sound is done.

        Raises:
            MediaError: The sound cannot be read.
            RequestError: The model writes down no speech, does not know the language, or a setting
                is out of range.
        """
        self._needs_hearing()
        if task not in ("transcribe", "translate"):
            raise RequestError(f'task is "{task}", expected "transcribe" or "translate"')
        heard = None
        if on_segment is not None:
            tell = on_segment

            def heard(segment: _chiasm.TranscriptSegment, done: float) -> None:
                tell(segment_of(segment), done)

        native = self._native.transcribe(
            _media.sound_input(sound, rate),
            transcribe_options(
                language=utf8("language", language or ""),
                translate=task == "translate",
                timestamps=bool(timestamps),
                temperatures=temperatures,
                compression_ratio_threshold=compression_ratio_threshold,
                logprob_threshold=logprob_threshold,
                no_speech_threshold=no_speech_threshold,
                seed=seed,
                adapter=self.adapter if adapter is None else adapter,
                padding=padding,
            ),
            on_segment=heard,
        )
        return transcript_of(native)


def _is_one(image: Any) -> bool:
    return _media.is_image(image) or isinstance(image, Video)


def _one_list_each(name: str, lists: Iterable[Any] | None, prompts: int) -> list[Any]:
    out = [None] * prompts if lists is None else list(lists)
    if len(out) != prompts:
        raise RequestError(f"{prompts} prompts and {len(out)} lists of {name}")
    return out


def _listed(images: Any) -> list[Any]:
    if not isinstance(images, Iterable):
        raise RequestError(f"a {type(images).__name__} is neither a picture nor a list of pictures")
    return list(images)


def _are_ids(prompt: Any) -> bool:
    if isinstance(prompt, np.ndarray):
        if prompt.ndim != 1 or not np.issubdtype(prompt.dtype, np.integer):
            raise RequestError("prompt: an array of token ids has one dimension and whole numbers")
        return True
    return (
        isinstance(prompt, Sequence)
        and not isinstance(prompt, str)
        and len(prompt) > 0
        and not isinstance(prompt[0], dict)
    )
