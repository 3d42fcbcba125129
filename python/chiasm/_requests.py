"""From prompts, media and settings to what the runtime takes."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Sequence
from typing import Any, Union

from chiasm import _chiasm, _media
from chiasm._marks import WordGuard
from chiasm._media import Image, Sound
from chiasm._messages import (
    fit_template,
    plain_tools,
    plain_turn,
    read_messages,
    videos_as_text,
)
from chiasm._options import generate_options, utf8
from chiasm._results import ModelInfo, info_of
from chiasm._structured import TokenTable
from chiasm._templates import ChatTemplate
from chiasm._video import video_input, video_inputs
from chiasm.errors import RequestError

Messages = Sequence[dict[str, Any]]
Prompt = Union[str, Messages]


class RequestMaker:
    """What of a model makes requests: its template, its tokens, what it sees and hears."""

    def __init__(self, native: _chiasm.Model, template: ChatTemplate | None):
        self._native = native
        self._template = template
        self.info: ModelInfo = info_of(native.info)
        structure = native.special_tokens()
        info = self.info
        structure += filter(None, (info.image_token, info.video_token, info.audio_token))
        self._guard = WordGuard(structure)
        self._lock = threading.Lock()
        self.adapter: str | None = None
        """The adapter of requests that name none; None: the model as it is."""
        self._tokens: TokenTable | None = None

    def _needs_hearing(self) -> None:
        if self.info.sound_rate == 0:
            raise RequestError(f"family {self.info.family}: this model hears no sound")

    def _chat_template(self) -> ChatTemplate:
        if self._template is None:
            raise RequestError(
                f"{self.info.path}: this model has no chat template; give the prompt as a str"
            )
        return self._template

    def _options(
        self,
        json_schema: Any = None,
        regex: str | None = None,
        choices: Sequence[str] | None = None,
        adapter: str | None = None,
        **settings: Any,
    ) -> _chiasm.GenerateOptions:
        """`adapter`: None takes the model's own, "" none."""
        constraint = None
        if not (json_schema is None and regex is None and choices is None):
            with self._lock:
                self._tokens = self._tokens or TokenTable(self._native)
            constraint = self._tokens.constraint(json_schema, regex, choices)
        if adapter is None:
            adapter = self.adapter
        return generate_options(constraint=constraint, adapter=adapter, **settings)

    def _request(
        self,
        prompt: Prompt,
        images: Sequence[Image] | None,
        options: _chiasm.GenerateOptions | None = None,
        name: str | None = None,
        *,
        audio: Sequence[Sound] | None = None,
        videos: Sequence[Any] | None = None,
        tools: Sequence[dict[str, Any]] | None = None,
    ) -> _chiasm.Request:
        """`name` stands for a single picture or video in errors, where it has no path."""
        options = options or self._options()
        if audio:
            self._needs_hearing()
        if isinstance(prompt, str):
            if tools:
                raise RequestError("tools need messages: a raw prompt has no place to show them")
            return _chiasm.Request(
                [(utf8("the prompt", prompt), True)],
                images=_media.image_inputs(images),
                audio=_media.sound_inputs(audio),
                videos=video_inputs(videos),
                options=options,
            )
        data, media = read_messages(prompt, images, audio, videos)
        if media.images and not self.info.image_token:
            raise RequestError(f"family {self.info.family}: this model sees no pictures")
        if media.videos and not self.info.video_token:
            raise RequestError(f"family {self.info.family}: this model sees no videos")
        if media.sounds:
            self._needs_hearing()
            if not self.info.audio_token:
                raise RequestError(
                    f"family {self.info.family}: this model answers no messages about sounds; "
                    "`transcribe` writes them down"
                )
        pictures = [
            _media.image_input(p, name or f"image {i + 1}") for i, p in enumerate(media.images)
        ]
        sounds = [
            _media.sound_input(s, name=name or f"sound {i + 1}") for i, s in enumerate(media.sounds)
        ]
        moving = [video_input(v, name or f"video {i + 1}") for i, v in enumerate(media.videos)]
        words = plain_turn(data)
        if self._template is None and words is not None and not tools:  # the family's own format
            if sounds:
                request = self._native.sound_turn(words, sounds)
            else:
                request = self._native.turn(words, pictures, moving)
            request.options = options
            return request
        return self._chat(data, pictures, sounds, moving, options, plain_tools(tools))

    def _chat(
        self,
        messages: list[dict[str, Any]],
        images: list[_chiasm.ImageInput],
        sounds: list[_chiasm.AudioInput],
        videos: list[_chiasm.VideoInput],
        options: _chiasm.GenerateOptions,
        tools: list[dict[str, Any]] | None,
    ) -> _chiasm.Request:
        template = self._chat_template()
        if tools and not template.takes_tools:
            raise RequestError(f"{template.where}: this chat template knows no tools")

        def render(said: list[dict[str, Any]]) -> str:  # words of tools are no structure either
            return template.render(said[0]["messages"], tools=said[0]["tools"])

        messages = fit_template(messages, template)
        mark = ""
        if videos and not template.shows_video(self.info.video_token):
            mark = f"chiasmvideo{secrets.token_hex(16)}"  # no word of a user's
            messages = videos_as_text(messages, mark)
        spans = self._guard.spans(render, [{"messages": messages, "tools": tools}])
        if mark:
            spans = [(t.replace(mark, self.info.video_token), trusted) for t, trusted in spans]
        # transformers: tokenizers add nothing around a rendered chat, processors what the template
        # has not already begun with.
        begun = bool(template.bos_token) and "".join(text for text, _ in spans[:1]).startswith(
            template.bos_token
        )
        return _chiasm.Request(
            spans,
            images=images,
            audio=sounds,
            videos=videos,
            add_special_tokens=bool(self.info.image_token or self.info.audio_token) and not begun,
            options=options,
        )
