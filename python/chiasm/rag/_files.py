"""Folders walked: which files there are, and what each of them is."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import stat
import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from chiasm.errors import MediaError, RequestError

SETTINGS_FILE = "chiasm.json"
"""A folder that holds it is an index itself, and is not walked."""

_SUFFIXES = {
    "picture": "jpg jpeg png webp gif bmp tif tiff",
    "pdf": "pdf",
    "text": "txt md markdown rst",
    "sound": "wav flac ogg mp3",
    "video": "mp4 mov mkv webm avi m4v",
}
FORMATS = {
    f".{suffix}": format for format, suffixes in _SUFFIXES.items() for suffix in suffixes.split()
}
_MEGABYTE = 1_000_000
_MOST_BYTES = {
    "picture": 256 * _MEGABYTE,
    "pdf": 1024 * _MEGABYTE,
    "text": 32 * _MEGABYTE,
    "sound": 1024 * _MEGABYTE,
    "video": 64 * 1024 * _MEGABYTE,
}
_FRESH_NS = 2_000_000_000
"""A file written so short a time ago could change once more within its clock's step."""


@dataclasses.dataclass(frozen=True, slots=True)
class Found:
    """A file that a walk came by. `path` is absolute; bytes of a name that are no UTF-8 are lone
    surrogates in it, as Python's own functions give them."""

    path: str
    format: str
    size: int
    mtime_ns: int

    @property
    def key(self) -> str:
        return file_key(self.path)


def file_key(path: str) -> str:
    """A file in the table: a hash of its path's bytes, whatever they are."""
    return hashlib.blake2b(os.fsencode(path), digest_size=16).hexdigest()


def shown(path: str) -> str:
    """A path as UTF-8 text: bytes that are none as \\xNN."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def format_of(path: str) -> str | None:
    return FORMATS.get(os.path.splitext(path)[1].lower())


def unknown_format(place: str) -> RequestError:
    known = " ".join(FORMATS)
    return RequestError(f"{shown(place)}: a format that is not indexed; known are {known}")


def trusted_time(found: Found) -> int:
    """A file's time as it is kept: 0, which fits no file, where it was written a moment ago."""
    fresh = time.time_ns() - found.mtime_ns < _FRESH_NS
    return 0 if fresh else found.mtime_ns


class Listing(Protocol):
    """Files that there are in the places that were named."""

    @property
    def others(self) -> int:
        """Files of formats that are not indexed; counted once all is listed."""

    def __iter__(self) -> Iterator[Found]: ...

    def covers(self, path: str) -> bool:
        """Whether a file of this path would have been listed, if it existed."""


class Walk:
    """The files under folders (or files that are named), each once, in the order of their names."""

    def __init__(self, places: list[str], on_problem: Callable[[str, str], None]):
        self.roots = [_root(place) for place in places]
        self.blind: list[str] = []
        """Folders that could not be read: nothing is known of what is in them."""
        self.others = 0
        """Files of formats that are not indexed."""
        self._on_problem = on_problem

    def __iter__(self) -> Iterator[Found]:
        seen: set[str] = set()
        for root in self.roots:
            files = self._folder(root) if os.path.isdir(root) else self._file(root)
            for found in files:
                if found.path not in seen:
                    seen.add(found.path)
                    yield found

    def covers(self, path: str) -> bool:
        return any(within(path, root) for root in self.roots) and not any(
            within(path, folder) for folder in self.blind
        )

    def _folder(self, folder: str) -> Iterator[Found]:
        try:
            with os.scandir(folder) as entries:
                listed = sorted(entries, key=lambda entry: os.fsencode(entry.name))
        except OSError as e:
            self.blind.append(folder)
            self._on_problem(folder, f"cannot be listed: {e.strerror}")
            return
        if any(entry.name == SETTINGS_FILE for entry in listed):
            return
        for entry in listed:
            if entry.name.startswith("."):
                continue
            if entry.is_dir(follow_symlinks=False):
                yield from self._folder(entry.path)
            else:
                yield from self._file(entry.path)

    def _file(self, path: str) -> Iterator[Found]:
        format = format_of(path)
        if format is None:
            self.others += 1
            return
        try:
            status = os.stat(path)
        except OSError as e:
            self._on_problem(path, f"cannot be read: {e.strerror}")
            return
        if stat.S_ISREG(status.st_mode):
            yield Found(path, format, status.st_size, status.st_mtime_ns)


def read_whole(found: Found) -> bytes:
    """A file's bytes; MediaError when it cannot be read or is over the limit of its format."""
    try:
        with open(found.path, "rb") as file:
            return read_within(file, found.format)
    except OSError as e:
        raise MediaError(f"cannot be read: {e.strerror}") from e


def read_within(file: Any, format: str) -> bytes:
    """An open file's bytes; MediaError when they are over the limit of the format."""
    most = _MOST_BYTES[format]
    data: bytes = file.read(most + 1)
    if len(data) > most:
        raise MediaError(f"over the limit of {most // _MEGABYTE} MB for a {format}")
    return data


def content_hash(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def hash_of_file(path: str) -> str:
    """The same of a file too large to hold."""
    digest = hashlib.blake2b(digest_size=16)
    try:
        with open(path, "rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    except OSError as e:
        raise MediaError(f"cannot be read: {e.strerror}") from e
    return digest.hexdigest()


def _root(place: str) -> str:
    path = os.path.abspath(os.path.expanduser(place))
    if not os.path.exists(path):
        raise RequestError(f"{shown(place)}: no such file or folder")
    if os.path.isfile(path) and format_of(path) is None:
        raise unknown_format(place)
    return path


def within(path: str, root: str) -> bool:
    return path == root or path.startswith(root.rstrip(os.sep) + os.sep)
