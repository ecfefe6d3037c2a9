#!/usr/bin/env bash
# Generates everything anew in a copy of the tree and fails when a committed file differs.
set -euo pipefail
cd "$(dirname "$0")/.."

copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
git ls-files -z --cached --others --exclude-standard | tar --null --files-from=- --create | tar --extract --directory="$copy"
git -C "$copy" init -q
git -C "$copy" add -A
git -C "$copy" -c user.name=verify -c user.email=verify@invalid commit -q -m before

make -C "$copy" generate
if ! git -C "$copy" diff --exit-code; then
	echo "verify: generated files differ: run 'make generate' and commit" >&2
	exit 1
fi
echo "generated files are up to date"
