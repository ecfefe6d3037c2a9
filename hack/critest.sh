#!/usr/bin/env bash
# Runs the CRI's validation suite (sigs.k8s.io/cri-tools' critest, pinned in test/critest/suite/go.mod) on Mayfly's
# runtime, as root. Fails when a spec fails that test/critest/expected.txt does not list. Arguments go to test/critest:
# `hack/critest.sh -focus HostPID` runs the specs that match. With -vm first, all that happens in the emulated machine of
# hack/vm.sh, which has cgroup v2 alone and AppArmor; that takes half an hour.
# BUSYBOX_SHARED names a busybox to use whose shell runs the files of its PATH, as Debian's busybox-static does not.
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p bin
export CGO_ENABLED=0 GOFLAGS="-trimpath -buildvcs=false -tags=nri_no_wasm"

die() { echo "critest: $*" >&2; exit 1; }

vm=
[ "${1:-}" != -vm ] || { vm=yes; shift; }
[ -n "$vm" ] || [ "$(id -u)" = 0 ] || die "containers need root"
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
[ -n "$vm" ] || exec go run ./test/critest "$@"
go build -ldflags '-s -w' -o bin/critest-run ./test/critest
# The suite asks sudo to load AppArmor profiles; the machine has but root.
exec hack/vm.sh -i systemd -t 7200 -f bin/critest -f bin/critest-run -f bin/critest-guest -f bin/busybox-shared -f test/critest/skip.txt -f test/critest/expected.txt \
	-c "ln -s env /usr/bin/sudo; bin/critest-run -skip test/critest/skip.txt ${*@Q}"
