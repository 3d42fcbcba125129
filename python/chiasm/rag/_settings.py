"""What an index was made with, kept beside its table."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import tempfile
from typing import Any

from chiasm.errors import RequestError
from chiasm.rag._files import SETTINGS_FILE

_VERSION = 1


@dataclasses.dataclass(frozen=True)
class Settings:
    """Vectors of other models, or of other number formats, do not belong into the same table."""

    model: str | None
    """A folder or hub id; None: the bundled model."""
    text_model: str | None
    """Embeds texts; None: the model itself."""
    dtype: str
    quantize: str
    fingerprint: str
    text_fingerprint: str
    sizes: dict[str, int]
    """Numbers of a vector, by column."""
    version: int = _VERSION


def read_settings(folder: pathlib.Path) -> Settings | None:
    """None where no index has been made. RequestError: it cannot be read."""
    file = folder / SETTINGS_FILE
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
        settings = Settings(**data)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as e:
        raise RequestError(f"{file}: cannot be read as an index's settings: {e}") from e
    if settings.version != _VERSION:
        raise RequestError(
            f"{file}: an index of format {settings.version}, this version reads {_VERSION}: index anew"
        )
    return settings


def write_settings(folder: pathlib.Path, settings: Settings) -> None:
    keep(folder, dataclasses.asdict(settings))


def keep(folder: pathlib.Path, settings: dict[str, Any]) -> None:
    """Writes the file of settings, whole or not at all."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=f".{SETTINGS_FILE}.", dir=folder)
        with open(handle, "w", encoding="utf-8") as out:
            json.dump(settings, out, indent=1)
            out.flush()
            os.fsync(out.fileno())
        os.replace(temporary, folder / SETTINGS_FILE)
    except OSError as e:
        raise RequestError(f"{folder}: cannot be written: {e.strerror}") from e
