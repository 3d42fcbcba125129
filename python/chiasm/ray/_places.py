"""Files under local folders and in object storage, listed here and read by the workers."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import posixpath
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from chiasm.errors import MediaError, RequestError
from chiasm.rag._files import (
    SETTINGS_FILE,
    Found,
    Walk,
    format_of,
    read_whole,
    read_within,
    unknown_format,
    within,
)


@dataclasses.dataclass(frozen=True)
class Bucket:
    """A place in a file system of pyarrow: what is at `inner` there is called `name` here."""

    name: str
    inner: str
    files: Any
    """pyarrow.fs.FileSystem"""

    def name_of(self, inner: str) -> str:
        return self.name + inner[len(self.inner) :]

    def inner_of(self, name: str) -> str:
        return self.inner + name[len(self.name) :]


class Places:
    """A `Listing` over folders and files of this machine, and of file systems that pyarrow reads.

    Args:
        places: Local paths, which every worker must find under the same name, and URIs (s3://...,
            gs://..., file:///...).
        filesystem: A pyarrow or fsspec file system that all `places` are paths of.
        on_problem: Hears what cannot be listed.

    Raises:
        RequestError: A place is missing, of no known format or of no known file system.
    """

    def __init__(
        self,
        places: Sequence[str | os.PathLike[str]],
        filesystem: Any,
        on_problem: Callable[[str, str], None],
    ):
        if not places:
            raise RequestError("no files: name files, folders or URIs")
        names = [os.fsdecode(place) for place in places]
        local = [n for n in names if filesystem is None and "://" not in n]
        self._walk = Walk(local, on_problem) if local else None
        self.buckets = [_bucket(n, filesystem) for n in names if n not in local]
        self._others = 0
        self._on_problem = on_problem

    @property
    def others(self) -> int:
        return self._others + (0 if self._walk is None else self._walk.others)

    def __iter__(self) -> Iterator[Found]:
        if self._walk is not None:
            yield from self._walk
        seen: set[str] = set()
        for bucket in self.buckets:
            for info in _files_of(bucket):
                name = bucket.name_of(info.path)
                format = format_of(name)
                if format is None:
                    self._others += 1
                elif format == "video":
                    self._on_problem(name, "a video is read where it lies: give a local path")
                elif name not in seen:
                    seen.add(name)
                    yield Found(name, format, info.size or 0, info.mtime_ns or 0)

    def covers(self, path: str) -> bool:
        if any(within(path, bucket.name) for bucket in self.buckets):
            return True
        return self._walk is not None and self._walk.covers(path)

    def fetch(self) -> Fetch:
        return Fetch(tuple(self.buckets))


@dataclasses.dataclass(frozen=True)
class Fetch:
    """Gives the bytes of a file, on any machine."""

    buckets: tuple[Bucket, ...]

    def __call__(self, found: Found) -> bytes:
        """MediaError when it cannot be read or is over the limit of its format."""
        import pyarrow as pa

        for bucket in self.buckets:
            if within(found.path, bucket.name):
                try:
                    with bucket.files.open_input_file(bucket.inner_of(found.path)) as file:
                        return read_within(file, found.format)
                except (OSError, pa.ArrowException) as e:
                    raise MediaError(f"cannot be read: {_one_line(e)}") from e
        return read_whole(found)


def _bucket(name: str, filesystem: Any) -> Bucket:
    import pyarrow as pa
    from pyarrow import fs

    if filesystem is None:
        try:
            files, inner = fs.FileSystem.from_uri(name)
        except (pa.ArrowException, OSError, ValueError) as e:
            raise RequestError(
                f"{name}: pyarrow knows no such place ({_one_line(e)}); its file system can be given"
                " as filesystem="
            ) from e
        scheme = name.partition("://")[0]
        bucket = Bucket(f"{scheme}://{inner}".rstrip("/"), inner.rstrip("/"), files)
    else:
        if not isinstance(filesystem, fs.FileSystem):
            filesystem = fs.PyFileSystem(fs.FSSpecHandler(filesystem))
        bucket = Bucket(name.rstrip("/"), name.rstrip("/"), filesystem)
    info = _info(bucket)
    if info.type == fs.FileType.NotFound:
        raise RequestError(f"{name}: no such file or folder")
    if info.type == fs.FileType.File and format_of(name) is None:
        raise unknown_format(name)
    return bucket


def _info(bucket: Bucket) -> Any:
    try:
        return bucket.files.get_file_info(bucket.inner)
    except OSError as e:
        raise RequestError(f"{bucket.name}: cannot be reached: {_one_line(e)}") from e


def _files_of(bucket: Bucket) -> list[Any]:
    """All files under it, as `Walk` lists folders: nothing hidden, and no index."""
    from pyarrow import fs

    info = _info(bucket)
    if info.type == fs.FileType.File:
        return [info]
    try:
        infos = bucket.files.get_file_info(fs.FileSelector(bucket.inner, recursive=True))
    except OSError as e:
        raise RequestError(f"{bucket.name}: cannot be listed: {_one_line(e)}") from e
    files = [info for info in infos if info.type == fs.FileType.File]
    indices = {posixpath.dirname(i.path) for i in files if i.base_name == SETTINGS_FILE}
    shown = [
        info
        for info in files
        if "/." not in info.path[len(bucket.inner) :]
        and not any(within(info.path, index) for index in indices)
    ]
    return sorted(shown, key=lambda info: info.path)


def _one_line(e: Exception) -> str:
    return " ".join(str(e).split()) or type(e).__name__
