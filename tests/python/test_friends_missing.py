"""Where a package of others is not installed, one error says what to install."""

import subprocess
import sys

import pytest

MISSING = [
    ("mcp", "import chiasm.mcp", "chiasm[mcp]"),
    ("langchain_core", "import chiasm.rag.langchain", "chiasm[langchain]"),
    ("llama_index", "import chiasm.rag.llama_index", "chiasm[llama-index]"),
    ("fastapi", "from chiasm.cli import main; sys.exit(main(['serve']))", "chiasm[serve]"),
    ("mcp", "from chiasm.cli import main; sys.exit(main(['mcp']))", "chiasm[mcp]"),
]


@pytest.mark.parametrize("package, code, extra", MISSING)
def test_a_missing_package_is_named_and_how_to_get_it(package, code, extra):
    code = f"import sys; sys.modules[{package!r}] = None; {code}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert f"needs the package {package}" in last and f"pip install '{extra}'" in last
    if "main" in code:
        assert done.stderr.count("\n") == 1
