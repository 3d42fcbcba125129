#!/usr/bin/env bash
# From a bare Debian machine to an answer about a photograph: installs, builds, runs.
#   scripts/demo.sh [PICTURE]
# Two models: the small bundled one, and a generated checkpoint of SmolVLM-256M's shape with random
# weights, whose words mean nothing but whose every step runs as with a trained one.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
cd "$root"

began=$SECONDS
step() { echo "== $1 ($((SECONDS - began)) s since the start) =="; }

step "packages"
scripts/setup.sh

step "build and install chiasm into build/venv"
make_venv build/venv
pip=(build/venv/bin/python -m pip --disable-pip-version-check --quiet)
"${pip[@]}" install scikit-build-core pybind11
"${pip[@]}" install --no-build-isolation .
"${pip[@]}" install scikit-image # ships photographs

step "a random checkpoint of SmolVLM-256M's shape in build/demo-model"
[ -e build/demo-model/config.json ] ||
  build/venv/bin/python tests/reference/random_checkpoint.py build/demo-model

picture=${1:-$(build/venv/bin/python - <<'PY'
import pathlib, skimage
print(pathlib.Path(skimage.__file__).parent / "data" / "astronaut.png")
PY
)}
step "answers"
build/venv/bin/python scripts/demo.py build/demo-model "$picture"
step "done"
