#!/usr/bin/env bash
# Runs the CRI's validation suite (sigs.k8s.io/cri-tools' critest, pinned in test/critest/suite/go.mod) on Mayfly's
# runtime, as root. Fails when a spec fails that test/critest/expected.txt does not list. Arguments go to test/critest:
# `hack/critest.sh -focus HostPID` runs the specs that match.
# BUSYBOX_SHARED names a busybox to use whose shell runs the files of its PATH, as Debian's busybox-static does not.
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p bin
export CGO_ENABLED=0 GOFLAGS="-trimpath -buildvcs=false -tags=nri_no_wasm"

die() { echo "critest: $*" >&2; exit 1; }

[ "$(id -u)" = 0 ] || die "containers need root"
for program in ipcmk ipcs pgrep ldd; do
	command -v "$program" >/dev/null || die "$program is needed: apt-get install util-linux procps libc-bin"
done

# The package conflicts with busybox-static, so it is unpacked, not installed.
busybox() {
	[ ! -x bin/busybox-shared ] || return 0
	local from=${BUSYBOX_SHARED:-} dir
	if [ -z "$from" ]; then
		dir=$(mktemp -d)
		chmod 0755 "$dir"
		(cd "$dir" && { apt-get download -qq busybox || { apt-get update -qq && apt-get download -qq busybox; }; }) 2>/dev/null ||
			die "apt-get download busybox failed: name one with BUSYBOX_SHARED"
		dpkg -x "$dir"/busybox_*.deb "$dir/root"
		from=$dir/root/bin/busybox
	fi
	install -m 0755 "$from" bin/busybox-shared
	[ -z "$dir" ] || rm -rf "$dir"
}

suite() {
	[ -x bin/critest ] && [ bin/critest -nt test/critest/suite/go.mod ] && return
	echo "critest: building the suite"
	(cd test/critest/suite && go test -c -ldflags '-s -w' -o ../../../bin/critest sigs.k8s.io/cri-tools/cmd/critest)
}

busybox
suite
go build -ldflags '-s -w' -o bin/critest-guest ./test/critest/guest
go build -ldflags '-s -w' -o internal/launch/monitor/binary/dist/podmonitor ./cmd/podmonitor
exec go run ./test/critest "$@"
