"""Packages of others that only some of Chiasm needs."""

from __future__ import annotations


def missing(what: str, error: ImportError, extra: str) -> ImportError:
    """What to raise where a package is not there: `error` names it, but not how to get it."""
    return ImportError(
        f"{what} needs the package {error.name}: pip install 'chiasm[{extra}]'", name=error.name
    )
