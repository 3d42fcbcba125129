"""What a run of the reference left in its folder. Read with suspicion: the folder may come from
elsewhere."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import numpy as np
import numpy.typing as npt

from chiasm.errors import RequestError

FILE = "seen.json"


class Seen:
    """`seen.json` of a folder, and the arrays that it names.

    Raises:
        RequestError: The folder holds none, or what it says does not fit its files.
    """

    def __init__(self, folder: pathlib.Path):
        self.folder = folder
        file = folder / FILE
        try:
            self._data = json.loads(file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise RequestError(
                f"{folder}: holds no {FILE}; make one with chiasm verify --keep {folder}"
            ) from None
        except (OSError, ValueError) as e:
            raise RequestError(f"{file}: cannot be read: {e}") from e
        for key in ("job", "cases", "versions"):
            if not isinstance(self._data, dict) or key not in self._data:
                raise RequestError(f'{file}: has no "{key}"; make it anew with --keep')

    def __getitem__(self, key: str) -> Any:
        return self._data[key]

    def get(self, key: str) -> Any:
        return self._data.get(key)

    def rows(self, stage: dict[str, Any]) -> npt.NDArray[np.float32]:
        """float32 [rows, columns] of a stage, mapped, not read."""
        rows, columns = int(stage["rows"]), int(stage["columns"])
        file = self._inside(stage["file"])
        size = file.stat().st_size if file.exists() else 0
        if rows < 1 or columns < 1 or rows * columns * 4 != size:
            raise RequestError(f"{file}: {size} bytes for [{rows}, {columns}]; make it anew")
        return np.memmap(file, np.float32, "r", shape=(rows, columns))

    def array(self, entry: dict[str, Any]) -> npt.NDArray[Any]:
        file = self._inside(entry["file"])
        try:
            array: npt.NDArray[Any] = np.load(file, allow_pickle=False)
        except (OSError, ValueError) as e:
            raise RequestError(f"{file}: cannot be read: {e}") from e
        return array

    def _inside(self, name: Any) -> pathlib.Path:
        if not isinstance(name, str) or pathlib.PurePath(name).name != name:
            raise RequestError(f"{self.folder / FILE}: {name!r} is no file's name")
        return self.folder / name
