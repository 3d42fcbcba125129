"""Packages whose names are found at first use: their modules are slow to import, or need packages that
are not always there."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Collection, Mapping
from typing import Any


def at_first_use(
    package: str, homes: Mapping[str, Collection[str]], modules: Collection[str] = ()
) -> Callable[[str], Any]:
    """A package's `__getattr__`.

    Args:
        package: Its whole name.
        homes: Its modules and what each gives it.
        modules: Those that are attributes themselves.
    """

    def find(name: str) -> Any:
        if name in modules:
            return importlib.import_module(f"{package}.{name}")
        for home, names in homes.items():
            if name in names:
                value = getattr(importlib.import_module(f"{package}.{home}"), name)
                setattr(sys.modules[package], name, value)
                return value
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    return find
