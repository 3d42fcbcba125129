"""Files that a program elsewhere may name: those in some folders, and no others."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Iterable

from chiasm._media import path_text
from chiasm.errors import MediaError, RequestError


class Folders:
    """Folders with all that is in them. What a link leads to counts, not where the link stands.

    Raises:
        RequestError: One of them is no folder.
    """

    def __init__(self, folders: Iterable[str | os.PathLike[str]]):
        self.roots = [pathlib.Path(folder).resolve() for folder in folders]
        for root in self.roots:
            if not root.is_dir():
                raise RequestError(f"{root}: is no folder")

    def file(self, name: str) -> str:
        """The real path of a file that is named by its whole path, by its path from one of the
        folders or by a file: URL.

        Raises:
            MediaError: It is outside, is missing or is no plain file, or nothing on this machine.
        """
        path = path_text(name)
        places = [os.path.realpath(root / path) for root in self.roots]  # a whole path stays itself
        inside = [place for place in places if self._holds(place)]
        if not inside:
            raise MediaError(
                f"{path}: is outside the folders that may be read: {', '.join(map(str, self.roots))}"
            )
        found = next((place for place in inside if os.path.isfile(place)), None)
        if found is None:
            missing = not any(map(os.path.lexists, inside))
            raise MediaError(
                f"{path}: {'there is no such file' if missing else 'is no plain file'}"
            )
        return found

    def _holds(self, place: str) -> bool:
        return any(pathlib.Path(place).is_relative_to(root) for root in self.roots)
