"""Which folder may include which: core <- kernels <- {vision, audio, projector, language} <- runtime
<- python. Siblings meet as tensors in runtime and never include each other."""

import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parents[2]
BASE = {"core", "kernels"}
PARTS = {"vision", "audio", "projector", "language"}
MAY_INCLUDE = {
    "core": {"core"},
    "kernels": BASE,
    **{part: BASE | {part} for part in PARTS},
    "runtime": BASE | PARTS | {"runtime"},
    "python": BASE | PARTS | {"runtime", "python", "bench"},  # chiasm bench tells the limits too
    "bench": BASE | PARTS | {"runtime", "bench"},
    "examples": {"runtime"},
}
SOURCE = {".h", ".cpp", ".inc", ".cu", ".cuh"}
# Headers of one library that only the named folders may see.
ONLY_IN = {
    r"pybind11/": {"python"},
    r"Python\.h": {"python"},
    r"cuda\w*\.h|cublas\w*\.h": {"kernels/cuda", "core"},
}


def violations(root: pathlib.Path) -> list[str]:
    wrong = []
    for folder, allowed in MAY_INCLUDE.items():
        for file in sorted((root / folder).rglob("*")):
            if file.suffix not in SOURCE:
                continue
            name, text = file.relative_to(root).as_posix(), file.read_text()
            for target in re.findall(r'^\s*#\s*include\s*"([^"]+)"', text, re.M):
                top, slash, _ = target.partition("/")
                if ".." in target.split("/") or not slash:
                    wrong.append(f'{name} includes "{target}": write the path from the root')
                elif top not in allowed:
                    wrong.append(f"{name} includes {target}: {folder} may not see {top}")
            for target in re.findall(r"^\s*#\s*include\s*<([^>]+)>", text, re.M):
                for pattern, homes in ONLY_IN.items():
                    if re.match(pattern, target) and not any(
                        name.startswith(home + "/") for home in homes
                    ):
                        wrong.append(f"{name} includes <{target}>: only {sorted(homes)} may")
    return wrong


def test_folders_include_only_what_they_may():
    wrong = violations(ROOT)
    assert not wrong, "\n".join(wrong)


def test_links_are_the_same_edges():
    """CMake's LINK lists stay inside the rule too."""
    wrong = []
    for folder, allowed in MAY_INCLUDE.items():
        file = ROOT / folder / "CMakeLists.txt"
        if not file.exists():
            continue
        for links in re.findall(r"chiasm_library\([^)]*\bLINK\b([^)]*)\)", file.read_text()):
            wrong += [f"{folder} links {name}" for name in links.split() if name not in allowed]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("place", "line"),
    [
        ("vision/a.cpp", '#include "language/tokenizer.h"'),
        ("language/b.h", '  #  include "projector/mlp.h"'),
        ("core/c.cpp", '#include "kernels/gemm.h"'),
        ("kernels/cpu/d.cpp", '#include "runtime/model.h"'),
        ("runtime/e.h", '#include "python/bind.h"'),
        ("vision/f.h", "#include <pybind11/pybind11.h>"),
        ("vision/g.cpp", "#include <cuda_runtime.h>"),
        ("vision/h.cpp", '#include "../core/error.h"'),
        ("vision/i.cpp", '#include "image.h"'),
        ("core/j.h", '#include "tests/support/x.h"'),
    ],
)
def test_a_planted_include_is_found(tmp_path, place, line):
    file = tmp_path / place
    file.parent.mkdir(parents=True)
    file.write_text(f"#pragma once\n{line}\n")
    assert len(violations(tmp_path)) == 1


def test_allowed_includes_pass(tmp_path):
    for place, line in [
        ("runtime/a.cpp", '#include "vision/image.h"'),
        ("vision/b.cpp", '#include "kernels/norm.h"\n#include <vector>'),
        ("python/c.cpp", '#include <pybind11/pybind11.h>\n#include "runtime/model.h"'),
        ("kernels/cuda/d.cu", "#include <cuda_runtime.h>"),
    ]:
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_text(line + "\n")
    assert violations(tmp_path) == []
