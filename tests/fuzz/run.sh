#!/bin/sh
# Runs a fuzz target a fixed number of times on a copy of its seeds, so that the tree is never written.
#   run.sh BINARY SEEDS RUNS
set -eu
binary=$1 seeds=$2 runs=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/corpus"
[ ! -d "$seeds" ] || cp -R "$seeds/." "$work/corpus"
# A target whose inputs need more room says so in a file of options beside its seeds.
options=-max_len=65536
[ ! -f "$seeds.options" ] || options=$(cat "$seeds.options")
# A finding is kept beside the binary; everything else goes.
"$binary" "$work/corpus" -runs="$runs" -seed=1 -rss_limit_mb=2048 -timeout=20 $options \
  -print_final_stats=1 -artifact_prefix="$(dirname "$binary")/" 2>"$work/log" || {
  tail -n 60 "$work/log" >&2
  exit 1
}
grep -E '^(stat::number_of_executed_units|Done)' "$work/log"
