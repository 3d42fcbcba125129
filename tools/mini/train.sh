#!/usr/bin/env bash
# Trains chiasm-mini from nothing, or goes on where the last call stopped.
# Usage: tools/mini/train.sh ARCHIVE WORK VISION_MINUTES JOINT_MINUTES
set -euo pipefail
cd "$(dirname "$0")/../.."
archive=$1 work=$2 vision_minutes=$3 joint_minutes=$4
mini() { python -m tools.mini "$@"; }

[ -f models/chiasm-mini/tokenizer.json ] || mini tokenizer
[ -f "$work/joint/last.pt" ] || mini vision --data "$archive" --work "$work" --minutes "$vision_minutes" --cooldown 10
mini joint --data "$archive" --work "$work" --minutes "$joint_minutes" --cooldown 30
mini export --checkpoint "$work/joint/averaged.pt"
mini verify --data "$archive" --write-golden
mini evaluate --data "$archive" --output "$work/figures.json"
