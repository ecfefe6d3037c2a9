#!/usr/bin/env bash
# Runs every fuzz target of the module for the given time each. The first time, Go builds all that a target links anew, with
# instruments: minutes without a word for those that know the Kubernetes API or containerd, which is no hanging target.
set -euo pipefail
cd "$(dirname "$0")/.."
time=${1:-20s}

found=0
while IFS=: read -r file target; do
	found=$((found + 1))
	echo "== $(dirname "$file") $target"
	go test "./$(dirname "$file")" -run '^$' -fuzz "^$target\$" -fuzztime "$time"
done < <(grep -rHoE --include='*_test.go' '^func Fuzz[A-Za-z0-9_]+' cmd internal test | sed 's/func //')

[ "$found" -gt 0 ] || { echo "fuzz: no fuzz target found" >&2; exit 1; }
echo "$found fuzz targets passed, $time each"
