#!/usr/bin/env python3
"""Whether cuDNN has a plan for each shape of attention that the plug-in asks it for; no GPU is needed.

    tests/cuda/cudnn_plans.py [WORD]     only shapes whose name holds the word, as "sm_90"

Compiles tests/cuda/cudnn_plans.cpp with the plug-in's own sources and runs it over no_driver.cpp where
there is no driver. cuDNN is the one that CHIASM_CUDNN_LIBRARY names, with its headers in ../include, else
that of the CUDA toolkit on PATH or in /usr/local/cuda. Without one nothing is looked at, which is said.
"""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
SOURCES = ["tests/cuda/cudnn_plans.cpp"] + [
    f"kernels/cuda/card/{name}.cpp" for name in ("cudnn", "cudnn_graph", "cudnn_plan")
]


def places() -> list[pathlib.Path]:
    """Libraries that may be there."""
    nvcc = shutil.which("nvcc", path=os.environ.get("PATH", "") + ":/usr/local/cuda/bin")
    toolkit = pathlib.Path(nvcc).parents[1] if nvcc else pathlib.Path("/usr/local/cuda")
    found = [toolkit / folder / "libcudnn.so.9" for folder in ("lib64", "lib")]
    if named := os.environ.get("CHIASM_CUDNN_LIBRARY"):
        found.insert(0, pathlib.Path(named))
    return found


def headers(library: pathlib.Path) -> list[pathlib.Path]:
    """Folders with the headers of cuDNN and of the CUDA runtime; empty where they are not there."""
    folders = [library.parents[1] / "include", pathlib.Path("/usr/local/cuda/include")]
    there = [folder for folder in folders if folder.is_dir()]
    has = {name for name in ("cudnn.h", "cuda_runtime.h") for f in there if (f / name).exists()}
    return there if len(has) == 2 else []


def main() -> int:
    library = next((p for p in places() if p.exists() and headers(p)), None)
    if library is None:
        print("cuDNN or its headers are not here: its plans were not looked at")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        program, driver = f"{folder}/plans", f"{folder}/libcuda.so.1"
        compiler = os.environ.get("CXX", "c++")
        flags = ["-std=c++20", "-O1", "-Wall", "-Wextra", "-Werror", f"-I{ROOT}"]
        for include in headers(library):
            flags += ["-isystem", str(include)]
        subprocess.run([compiler, *flags, *SOURCES, "-o", program, "-ldl"], cwd=ROOT, check=True)
        environment = os.environ | {"CHIASM_CUDNN_LIBRARY": str(library)}
        if not shutil.which("nvidia-smi"):
            double = ["-shared", "-fPIC", "tests/cuda/no_driver.cpp", "-o", driver, "-ldl"]
            subprocess.run([compiler, *flags, *double], cwd=ROOT, check=True)
            paths = [folder, *filter(None, [os.environ.get("LD_LIBRARY_PATH")])]
            environment["LD_LIBRARY_PATH"] = ":".join(paths)
        return subprocess.run([program, *sys.argv[1:]], env=environment).returncode


if __name__ == "__main__":
    sys.exit(main())
