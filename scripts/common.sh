# shellcheck shell=bash
# Shared by the scripts here; sourced, not run.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

die() {
  echo "$(basename "$0"): $*" >&2
  exit 1
}

# A Python that can make virtual environments and compile extensions: the first on PATH, else Debian's.
usable_python() {
  "$1" - >/dev/null 2>&1 <<'PY'
import ensurepip, os, sys, sysconfig, venv
headers = os.path.join(sysconfig.get_paths()["include"], "Python.h")
sys.exit(not (sys.version_info >= (3, 10) and os.path.exists(headers)))
PY
}

find_python() {
  local candidate
  for candidate in python3 /usr/bin/python3; do
    if usable_python "$candidate"; then
      command -v "$candidate"
      return
    fi
  done
  return 1
}

# make_venv FOLDER: a fresh virtual environment, unless one made by the same Python is there.
make_venv() {
  local python
  python=$(find_python) || die "no Python 3.10 or later with venv and headers; run scripts/setup.sh"
  if [ "$("$1/bin/python" -c 'import sys; print(sys.base_prefix)' 2>/dev/null)" != \
    "$("$python" -c 'import sys; print(sys.base_prefix)')" ]; then
    rm -rf "$1"
    "$python" -m venv "$1"
  fi
}

# Object files are shared between the build folders and survive a fresh clone.
export CCACHE_BASEDIR=$root CCACHE_NOHASHDIR=1
if command -v ccache >/dev/null; then
  export CMAKE_CXX_COMPILER_LAUNCHER=ccache CMAKE_C_COMPILER_LAUNCHER=ccache
fi
