"""Notebooks without Jupyter: cells of a script, run as Jupyter runs them, in its file format 4.5."""

from __future__ import annotations

import ast
import base64
import contextlib
import io
import os
import pathlib
import re
from typing import Any

_MARK = re.compile(r"^# %%(?: \[(\w+)\])?\n", re.M)
_JPEG_QUALITY = 80


def cells(script: str) -> list[tuple[str, str]]:
    """(kind, source) of each cell of a script in the percent format; kind: "code" or "markdown"."""
    begin, *parts = _MARK.split(script)
    assert not begin.strip(), "text before the first cell"
    out = []
    for kind, source in zip(parts[::2], parts[1::2]):
        if kind == "markdown":
            source = re.sub(r"^# ?", "", source, flags=re.M)
        out.append((kind or "code", source.strip()))
    return out


def run(script: str, folder: pathlib.Path) -> list[dict[str, Any]]:
    """The cells of a notebook, executed in order in `folder`, with what they printed and what their
    last lines gave. An error in a cell is raised."""
    names: dict[str, Any] = {"__name__": "__main__"}
    out: list[dict[str, Any]] = []
    count = 0
    home = os.getcwd()
    os.chdir(folder)
    try:
        for i, (kind, source) in enumerate(cells(script)):
            cell: dict[str, Any] = {
                "cell_type": kind,
                "id": f"cell-{i}",
                "metadata": {},
                "source": _lines(source),
            }
            if kind == "code":
                count += 1
                cell |= {"execution_count": count, "outputs": _outputs(source, names, count)}
            out.append(cell)
    finally:
        os.chdir(home)
    return out


def _outputs(source: str, names: dict[str, Any], count: int) -> list[dict[str, Any]]:
    tree = ast.parse(source)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    printed = io.StringIO()
    value = None
    with contextlib.redirect_stdout(printed):
        exec(compile(tree, "cell", "exec"), names)
        if last is not None:
            value = eval(compile(ast.Expression(last.value), "cell", "eval"), names)
    out: list[dict[str, Any]] = []
    if text := printed.getvalue():
        out.append({"output_type": "stream", "name": "stdout", "text": _lines(text)})
    if value is not None:
        result = {"output_type": "execute_result", "execution_count": count, "metadata": {}}
        out.append(result | {"data": _shown(value)})
    return out


def _shown(value: Any) -> dict[str, Any]:
    """A value by media type: PIL images as JPEG, all else as its repr."""
    if not hasattr(value, "_repr_png_"):
        return {"text/plain": _lines(repr(value))}
    held = io.BytesIO()
    value.save(held, "JPEG", quality=_JPEG_QUALITY)
    size = f"<a picture of {value.width} x {value.height} pixels>"
    return {"image/jpeg": base64.b64encode(held.getvalue()).decode(), "text/plain": [size]}


def _lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)


def notebook(executed: list[dict[str, Any]]) -> dict[str, Any]:
    """The whole file."""
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    about = {"kernelspec": kernel, "language_info": {"name": "python"}}
    return {"cells": executed, "metadata": about, "nbformat": 4, "nbformat_minor": 5}
