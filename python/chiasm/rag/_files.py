"""Folders walked: which files there are, and what each of them is."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import stat
from collections.abc import Callable, Iterator

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
        """Whether this walk came by `path`, if it exists."""
        return any(_within(path, root) for root in self.roots) and not any(
            _within(path, folder) for folder in self.blind
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
        format = FORMATS.get(os.path.splitext(path)[1].lower())
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
    most = _MOST_BYTES[found.format]
    try:
        with open(found.path, "rb") as file:
            data = file.read(most + 1)
    except OSError as e:
        raise MediaError(f"cannot be read: {e.strerror}") from e
    if len(data) > most:
        raise MediaError(f"over the limit of {most // _MEGABYTE} MB for a {found.format}")
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
    if os.path.isfile(path) and os.path.splitext(path)[1].lower() not in FORMATS:
        known = " ".join(FORMATS)
        raise RequestError(f"{shown(place)}: a format that is not indexed; known are {known}")
    return path


def _within(path: str, root: str) -> bool:
    return path == root or path.startswith(root.rstrip(os.sep) + os.sep)
