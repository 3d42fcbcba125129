#!/usr/bin/env bash
# Everything that wants a GPU, in one call of about five minutes; it needs the CUDA toolkit, cmake and
# a C++ compiler, no network, and uses python3 with PyTorch, compute-sanitizer and the libraries of the
# whole runtime where they are.
#   bench/gpu_run.sh [FOLDER]   results go to FOLDER (bench/results/gpu), builds to build/gpu
# Builds the plug-in for this card, runs the operators' cases on it, prints speeds as shares of the
# card's limits beside cuDNN's attention, where its library is found, and PyTorch's, and runs golden
# checkpoints end to end. Goes on after a failure; the exit code is 1 if anything failed.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
out=${1:-bench/results/gpu}
mkdir -p "$out" build/gpu
failed=0

step() { # step NAME SECONDS COMMAND...: runs it with its output shown and kept
  local name=$1 seconds=$2 code=0 begin=$SECONDS
  shift 2
  echo "== $name =="
  timeout --kill-after=5 "$seconds" "$@" 2>&1 | tee "$out/$name.log"
  code=${PIPESTATUS[0]}
  [ "$code" -eq 0 ] || failed=1
  echo "== $name: exit code $code after $((SECONDS - begin)) s =="
  return "$code"
}

export PATH=$PATH:/usr/local/cuda/bin
for tool in nvcc cmake; do
  command -v $tool >/dev/null || { echo "gpu_run: $tool is missing" >&2; exit 1; }
done
command -v ninja >/dev/null && export CMAKE_GENERATOR=Ninja
# cuDNN, whose attention is the yardstick for ours: beside the toolkit, else PyTorch's.
torch_cudnn=$(python3 -c 'import nvidia.cudnn as c; print(c.__path__[0])' 2>/dev/null)
for library in "$(dirname "$(command -v nvcc)")/../lib64" "$torch_cudnn/lib"; do
  [ -n "${CHIASM_CUDNN_LIBRARY:-}" ] || ! [ -e "$library/libcudnn.so.9" ] ||
    export CHIASM_CUDNN_LIBRARY=$library/libcudnn.so.9
done
card=
if command -v nvidia-smi >/dev/null; then
  query=name,driver_version,memory.total,compute_cap
  nvidia-smi --query-gpu=$query --format=csv | tee "$out/card.csv"
  card=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader | head -n 1 | tr -d .)
fi
case $card in
  [0-9]*) ;;
  *) echo "gpu_run: nvidia-smi tells of no card; building for compute capability 9.0" && card=90 ;;
esac
[ "$card" -lt 90 ] && target=$card-real || target=${card}a-real
export target

# Core, kernels and their cases need no library but the toolkit.
plain() {
  set -euo pipefail
  cmake -S . -B build/gpu/plain -DCMAKE_BUILD_TYPE=Release -DCHIASM_CUDA=ON \
    -DCHIASM_KERNELS_ONLY=ON "-DCMAKE_CUDA_ARCHITECTURES=$target" >build/gpu/plain.log 2>&1 ||
    { cat build/gpu/plain.log && return 1; }
  cmake --build build/gpu/plain -j "$(nproc)" | tail -n 5
}
# The runtime needs what scripts/setup.sh --developer installs.
whole() {
  set -euo pipefail
  if ! cmake -S . -B build/gpu/whole -DCMAKE_BUILD_TYPE=Release -DCHIASM_CUDA=ON \
    -DCHIASM_DEVELOPER=ON "-DCMAKE_CUDA_ARCHITECTURES=$target" >build/gpu/whole.log 2>&1; then
    echo "SKIPPED, the whole runtime does not configure here:"
    grep -A3 'CMake Error' build/gpu/whole.log | head -n 8
    return 0
  fi
  cmake --build build/gpu/whole -j "$(nproc)" --target chiasm_parity chiasm_cuda | tail -n 3
  CHIASM_DEVICE_PLUGIN=$PWD/build/gpu/whole/libchiasm_cuda.so \
    build/gpu/whole/tests/chiasm_parity --gtest_filter='*Device*' --gtest_brief=1
}
export -f plain whole

step build 150 bash -c plain || exit 1
export CHIASM_CUDA_PLUGIN=$PWD/build/gpu/plain/libchiasm_cuda.so
check=build/gpu/plain/tests/cuda/chiasm_cuda_check
# What this card makes of each operation that kernels use: to be kept as tests/golden/cuda.
CHIASM_INTRINSICS_OUT=$out step operators 60 "$check"
step speed 60 build/gpu/plain/tests/cuda/chiasm_cuda_speed "$out/speed.json"
if python3 -c 'import torch; assert torch.cuda.is_available()' 2>/dev/null; then
  step torch 40 python3 bench/gpu_peers.py
fi
if command -v compute-sanitizer >/dev/null; then
  step memcheck 40 compute-sanitizer --error-exitcode 9 "$check" "masks, 2/1 heads of 72"
  step racecheck 40 compute-sanitizer --tool racecheck --error-exitcode 9 "$check" "masks, 4/2"
fi
step model 150 bash -c whole
date -u +%Y-%m-%dT%H:%MZ >"$out/date"
exit "$failed"
