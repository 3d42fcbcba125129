"""From what the user names to a model folder: a path, a hub id, or the bundled model."""

from __future__ import annotations

import os
import pathlib
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from chiasm.errors import ModelError, RequestError

BUNDLED = "chiasm-mini"
_HUB_ID = re.compile(r"[A-Za-z0-9_][\w.-]*/[\w.-]+")
# Everything a folder is read for, and none of its other weights (PyTorch, ONNX, TensorFlow, ...).
_PATTERNS = ["*.json", "*.safetensors", "*.jinja", "*.model", "additional_chat_templates/*"]
_IGNORED = ["onnx/*", "original/*", "*/*.safetensors", "*.msgpack", "*.bin", "*.h5"]


def bundled_model() -> pathlib.Path | None:
    """The folder of the small default model: in the wheel, or in the source tree around it."""
    here = pathlib.Path(__file__).resolve().parent
    for folder in (here / "models", here.parents[1] / "models"):
        if (folder / BUNDLED / "config.json").is_file():
            return folder / BUNDLED
    return None


def find_model(
    name_or_path: str | os.PathLike[str] | None,
    *,
    revision: str | None = None,
    token: str | bool | None = None,
    offline: bool = False,
) -> pathlib.Path:
    """The local folder of a model. A hub id is fetched into the hub's cache unless it is there."""
    if name_or_path is None:
        folder = bundled_model()
        if folder is None:
            raise ModelError(
                f"this installation has no bundled model {BUNDLED}; name a model folder or a hub id"
            )
        return folder
    name = os.fspath(name_or_path)
    if not isinstance(name, str) or not name or "\0" in name:
        raise RequestError(f"the model {name!r} is neither a path nor a hub id")
    path = pathlib.Path(name).expanduser()
    try:
        found = path.exists()
    except OSError as e:
        raise ModelError(f"{name}: cannot be read: {e.strerror}") from e
    if found and path.is_dir() and not os.access(path, os.R_OK | os.X_OK):
        raise ModelError(f"{name}: this folder may not be read; its permissions forbid it")
    if found:
        return path
    if path.suffix == ".gguf":
        raise ModelError(f"{name}: no such file")
    if not _HUB_ID.fullmatch(name) or isinstance(name_or_path, pathlib.Path):
        raise ModelError(f"{name}: no such folder, and not a hub id of the form owner/name")
    return _fetch(name, revision, token, offline)


def _fetch(
    repo: str, revision: str | None, token: str | bool | None, offline: bool
) -> pathlib.Path:
    import huggingface_hub
    from huggingface_hub import constants, errors

    offline = offline or constants.HF_HUB_OFFLINE
    at = f"{repo}@{revision}" if revision else repo
    try:
        with _progress_bars(sys.stderr.isatty()):
            folder = huggingface_hub.snapshot_download(
                repo,
                revision=revision,
                token=token,
                local_files_only=offline,
                allow_patterns=_PATTERNS,
                ignore_patterns=_IGNORED,
                library_name="chiasm",
            )
    except errors.GatedRepoError as e:
        raise ModelError(f"{at}: access is restricted; accept its terms and give a token") from e
    except errors.RepositoryNotFoundError as e:
        raise ModelError(f"{at}: no such folder here, and the hub has no such model") from e
    except errors.RevisionNotFoundError as e:
        raise ModelError(f"{at}: the hub's model has no such revision") from e
    except errors.HFValidationError as e:
        raise ModelError(f"{at}: {_one_line(e)}") from e
    except errors.LocalEntryNotFoundError as e:
        why = "it is not in the cache (offline mode)" if offline else "the hub cannot be reached"
        raise ModelError(f"{at}: no such folder here, and {why}") from e
    except Exception as e:  # the many ways in which networks and disks fail
        raise ModelError(f"{at}: the download failed: {_one_line(e)}") from e
    if not (pathlib.Path(folder) / "config.json").is_file():
        raise ModelError(f"{at}: the model on the hub has no config.json")
    return pathlib.Path(folder)


def _one_line(e: Exception) -> str:
    return " ".join(str(e).split()) or type(e).__name__


@contextmanager
def _progress_bars(shown: bool) -> Iterator[None]:
    """Bars are for people: none where standard error is no terminal."""
    from huggingface_hub import utils

    if shown or utils.are_progress_bars_disabled():
        yield
        return
    utils.disable_progress_bars()
    try:
        yield
    finally:
        utils.enable_progress_bars()
