"""The wheel holds types: the stubs are those of the extension, and the package keeps to them."""

import pathlib
import subprocess
import sys

import chiasm

PACKAGE = pathlib.Path(chiasm.__file__).parent
ROOT = pathlib.Path(__file__).parents[2]


def test_the_package_is_marked_as_typed():
    assert (PACKAGE / "py.typed").is_file()
    assert {"_chiasm.pyi", "__init__.py", "cli"} <= {f.name for f in PACKAGE.iterdir()}


def test_stubs_are_those_of_the_extension(tmp_path):
    """To renew them: pybind11-stubgen chiasm._chiasm -o OUT, then copy OUT/chiasm/_chiasm.pyi."""
    subprocess.run(
        [sys.executable, "-m", "pybind11_stubgen", "chiasm._chiasm", "-o", tmp_path, "--exit-code"],
        check=True,
        capture_output=True,
        cwd=tmp_path,
    )
    made = (tmp_path / "chiasm" / "_chiasm.pyi").read_text()
    assert made == (PACKAGE / "_chiasm.pyi").read_text()


def test_the_package_passes_mypy_strict(tmp_path):
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "mypy",
            "--config-file",
            ROOT / "pyproject.toml",
            "--cache-dir",
            tmp_path,
        ]
        + ["-p", "chiasm"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout
