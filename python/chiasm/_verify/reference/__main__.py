"""Reads a job from standard input, writes what the reference sees into the job's folder, and tells its
steps line by line: JSON objects with "step" or, at last, "error"."""

from __future__ import annotations

import json
import os
import sys
import traceback
from typing import Any


class Refused(Exception):
    """What the user can do something about."""


def tell(**message: Any) -> None:
    print(json.dumps(message), flush=True)


def run(job: dict[str, Any]) -> None:
    os.environ["HF_HUB_OFFLINE"] = "1"
    if job["kind"] == "gguf":
        from .gguf import see as see_gguf

        seen = see_gguf(job, lambda what: tell(step=what))
    else:
        seen = _by_transformers(job)
    seen["job"] = job
    with open(os.path.join(job["out"], "seen.json"), "w", encoding="utf-8") as file:
        json.dump(seen, file)


def _by_transformers(job: dict[str, Any]) -> dict[str, Any]:
    tell(step="importing transformers")
    import torch
    import transformers

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    if job["threads"]:
        torch.set_num_threads(job["threads"])
    if job["kind"] == "embedder":
        from .vectors import see
    elif job["kind"] == "retriever":
        from .retrievers import see
    else:
        from .answers import see
    seen: dict[str, Any] = see(job, lambda what: tell(step=what))
    seen["versions"] = {"torch": torch.__version__, "transformers": transformers.__version__}
    return seen


def main() -> int:
    try:
        run(json.load(sys.stdin))
    except KeyboardInterrupt:
        return 130
    except Exception as e:
        traceback.print_exc()
        tell(error=" ".join(f"{type(e).__name__}: {e}".split())[:600])
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
