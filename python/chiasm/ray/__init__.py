"""Beyond one machine: the same work and the same server on a Ray cluster. It needs `chiasm[ray]`.

>>> import chiasm.ray
>>> chiasm.ray.caption("s3://bucket/holiday", out="captions.lance")  # doctest: +SKIP
>>> chiasm.ray.index("/shared/papers", db="my.lance")  # doctest: +SKIP
>>> ray.serve.run(chiasm.ray.deployment("SmolVLM-256M-Instruct"))  # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chiasm._lazy import at_first_use

if TYPE_CHECKING:
    from chiasm.ray._index import index
    from chiasm.ray._jobs import Report, caption, embed, transcribe
    from chiasm.ray._results import results
    from chiasm.ray._serve import deployment

_HOMES = {
    "_index": ["index"],
    "_jobs": ["Report", "caption", "embed", "transcribe"],
    "_results": ["results"],
    "_serve": ["deployment"],
}
__all__ = ["Report", "caption", "deployment", "embed", "index", "results", "transcribe"]


# Ray is slow to import, and not always there.
__getattr__ = at_first_use(__name__, _HOMES)
