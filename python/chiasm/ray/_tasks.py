"""What workers make of files: captions, transcripts, vectors."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import hashlib
import re
from collections.abc import Callable, Iterator
from typing import Any

from chiasm import _load
from chiasm._model import Model
from chiasm.errors import Error, MediaError, ModelError, RequestError
from chiasm.rag._files import Found
from chiasm.rag._spaces import each, fingerprint_of
from chiasm.ray._cluster import ray_module
from chiasm.ray._places import Fetch

Run = Callable[[list[bytes]], "list[dict[str, Any] | Error]"]
_GROUP = 16
"""Files whose bytes are held together, while as many more are read."""
_READERS = 8
_ALONE = re.compile(r"^(request 1: )?(image|sound) 1: ")
"""What an error says where several could be meant."""


@dataclasses.dataclass(frozen=True)
class Task:
    """A kind of result. `load` are settings of the loading function, `settings` of each call."""

    model: str | None
    load: dict[str, Any]
    settings: dict[str, Any]

    name = ""
    format = ""
    """Of the files that it is for."""

    def open(self, threads: int) -> tuple[str, Run]:
        """The model's folder, and what gives a result for each file's bytes.

        Raises:
            Error: The model cannot be loaded, is of the wrong kind, or a setting is out of range.
        """
        raise NotImplementedError


class Captioning(Task):
    name, format = "caption", "picture"

    def open(self, threads: int) -> tuple[str, Run]:
        model = _load.load(self.model, **self.load, threads=threads)
        if not model.info.image_token:
            raise RequestError(f"{model.info.path}: this model sees no pictures")
        settings = dict(self.settings)
        asked = settings.pop("question", None)
        model.generate("a", **(settings | {"max_tokens": 1}))  # a wrong setting is no picture's fault

        asks = () if asked is None else (asked,)

        def run(pictures: list[bytes]) -> list[dict[str, Any] | Error]:
            said = each(lambda some: model.answers(some, *asks, **settings), pictures)
            return [o if isinstance(o, Error) else {"caption": o.text.strip()} for o in said]

        return model.info.path, run


class Transcribing(Task):
    name, format = "transcribe", "sound"

    def open(self, threads: int) -> tuple[str, Run]:
        model = _load.load(self.model, **self.load, threads=threads)
        if model.info.sound_rate == 0 or model.info.audio_token:
            raise RequestError(f"{model.info.path}: this model writes down no speech")
        return model.info.path, lambda sounds: [self._written(model, sound) for sound in sounds]

    def _written(self, model: Model, sound: bytes) -> dict[str, Any] | Error:
        try:
            told = model.transcribe(sound, **self.settings)
        except MediaError as e:
            return e
        segments = [{"start": s.start, "end": s.end, "text": s.text} for s in told.segments]
        return {
            "text": told.text,
            "language": told.language,
            "duration": told.duration,
            "segments": segments,
        }


class Embedding(Task):
    name, format = "embed", "picture"

    def open(self, threads: int) -> tuple[str, Run]:
        embedder = _load.load_embedder(self.model, **self.load, threads=threads)
        if not embedder.info.patches_per_picture:
            raise RequestError(
                f"{embedder.info.path}: embeds no pictures; texts go to chiasm.ray.index"
            )

        def run(pictures: list[bytes]) -> list[dict[str, Any] | Error]:
            rows = each(embedder.embed_image, pictures)
            return [row if isinstance(row, Error) else {"vector": row} for row in rows]

        return embedder.info.path, run


@dataclasses.dataclass(frozen=True)
class Told:
    """What a worker tells of a file."""

    hash: str | None = None
    """None: it could not be read."""
    size: int = 0
    error: str | None = None
    made: dict[str, Any] | None = None
    """None: there is an error, or there is a result of this content already."""


@dataclasses.dataclass(frozen=True)
class OpenTask:
    """Travels to a worker and opens the task there."""

    task: Task
    fingerprint: str
    fetch: Fetch
    known: Any
    """A Ray reference to the set of hashes that have results."""

    def __call__(self, threads: int) -> Working:
        path, run = self.task.open(threads)
        if fingerprint_of(path) != self.fingerprint:
            raise ModelError(
                f"{path}: holds other weights on one node of the cluster than on another"
            )
        return Working(run, self.fetch, ray_module().get(self.known))


class Working:
    """Reads a group of files while the one before is in the model."""

    def __init__(self, run: Run, fetch: Fetch, known: set[str]):
        self._run, self._fetch, self._known = run, fetch, known

    def __call__(self, items: list[Found]) -> Iterator[tuple[int, Told]]:
        with concurrent.futures.ThreadPoolExecutor(_READERS) as readers:
            starts = range(0, len(items), _GROUP)
            reading: list[concurrent.futures.Future[bytes]] = []
            for start in starts:
                ready = reading or [readers.submit(self._fetch, f) for f in items[:_GROUP]]
                later = items[start + _GROUP : start + 2 * _GROUP]
                reading = [readers.submit(self._fetch, f) for f in later]
                for place, told in self._group(ready):
                    yield start + place, told

    def _group(
        self, ready: list[concurrent.futures.Future[bytes]]
    ) -> Iterator[tuple[int, Told]]:
        held: list[tuple[int, str, bytes]] = []
        for place, future in enumerate(ready):
            try:
                data = future.result()
            except MediaError as e:
                yield place, Told(error=str(e))
                continue
            hash = hashlib.sha256(data).hexdigest()
            if hash in self._known:
                yield place, Told(hash, len(data))
            else:
                held.append((place, hash, data))
        made = self._run([data for _, _, data in held])
        for (place, hash, data), one in zip(held, made):
            if not isinstance(one, Error):
                yield place, Told(hash, len(data), made=one)
            elif isinstance(one, (MediaError, RequestError)):
                yield place, Told(hash, len(data), error=_ALONE.sub("", str(one)))
            else:
                raise one
