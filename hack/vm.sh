#!/usr/bin/env bash
# Runs tests in an emulated machine, which this one need not be like: Debian's kernel 6.1 under qemu, with cgroup v2 alone,
# AppArmor, systemd if asked for, x86-64 or arm64. It needs no root, no KVM and no network card.
#
#   hack/vm.sh [-a amd64|arm64] [-i plain|systemd] [-t SECONDS] [-f FILE]… [-c COMMAND] [PACKAGE…] [-- TEST FLAG…]
#
#   hack/vm.sh ./internal/launch/...                          the tests of packages
#   hack/vm.sh -i systemd ./internal/cri -- -test.run 'Stats' one test, where systemd is the first process
#   hack/vm.sh -c 'bin/mayfly version; bash'                  commands, with Mayfly's binaries in bin/
#   hack/vm.sh -f docs -c 'ls docs'                           and with other files of the tree
#
# It prints what they print, and exits as they do; 124 after SECONDS (1800). bin/vm keeps the machine between runs.
set -euo pipefail
cd "$(dirname "$0")/.."

die() { echo "vm: $*" >&2; exit 2; }

arch=amd64 init=plain patience=1800 command='' files=() packages=() flags=()
while [ $# -gt 0 ]; do
	case $1 in
	-a) arch=$2; shift 2 ;;
	-i) init=$2; shift 2 ;;
	-t) patience=$2; shift 2 ;;
	-f) files+=("$2"); shift 2 ;;
	-c) command=$2; shift 2 ;;
	--) shift; flags=("$@"); break ;;
	-*) die "unknown option $1: see the head of hack/vm.sh" ;;
	*) packages+=("$1"); shift ;;
	esac
done
case $init in
plain) boot=init=/usr/lib/init ;;
systemd) boot="init=/usr/lib/systemd/systemd systemd.unit=vm.target systemd.unified_cgroup_hierarchy=1 systemd.log_level=warning systemd.show_status=0" ;;
*) die "-i $init: plain or systemd" ;;
esac
case $arch in
amd64) qemu=qemu-system-x86_64 package=qemu-system-x86 machine=q35 console=ttyS0 host=x86_64 ;;
arm64) qemu=qemu-system-aarch64 package=qemu-system-arm machine=virt console=ttyAMA0 host=aarch64 ;;
*) die "-a $arch: amd64 or arm64" ;;
esac
for needed in "$qemu:$package" mkfs.ext4:e2fsprogs busybox:busybox-static depmod:kmod; do
	command -v "${needed%:*}" >/dev/null || die "${needed%:*} is needed: apt-get install --no-install-recommends ${needed#*:}"
done

readonly dir=bin/vm/$arch
mkdir -p "$dir"
payload=$(mktemp -d)
trap 'rm -rf "$payload"' EXIT

export CGO_ENABLED=0 GOARCH=$arch GOFLAGS="-trimpath -buildvcs=false -tags=nri_no_wasm"
mkdir -p "$payload"/{bin,.ci}
: >"$payload/.ci/run" # by which tests know the checkout
nice go build -ldflags '-s -w' -o "$payload/bin/podmonitor" ./cmd/podmonitor
# The monitor of the machine's architecture is embedded, and the one of this machine left alone.
echo "{\"Replace\":{\"$PWD/internal/launch/monitor/binary/dist/podmonitor\":\"$payload/bin/podmonitor\"}}" >"$payload/overlay.json"
if [ -n "$command" ] || [[ "${packages[*]}" = *./test/* ]]; then
	nice go build -overlay "$payload/overlay.json" -ldflags '-s -w' -o "$payload/bin/mayfly" ./cmd/mayfly
	nice go build -ldflags '-s -w' -o "$payload/bin/testapp" ./test/program/app
	[ "$arch" != amd64 ] || cp -t "$payload/bin" bin/kubectl-1.* bin/busybox 2>/dev/null || die "run \`make tools\` first"
fi
[ ${#files[@]} = 0 ] || cp -r --parents -t "$payload" "${files[@]}"
echo 'failed=0' >"$payload/job"
for package in $([ ${#packages[@]} = 0 ] || go list -f '{{if or .TestGoFiles .XTestGoFiles}}{{.Dir}}{{end}}' "${packages[@]}"); do
	package=${package#"$PWD/"}
	mkdir -p "$payload/$package"
	nice go test -c -overlay "$payload/overlay.json" -ldflags '-s -w' -o "$payload/$package/run.test" "./$package"
	[ ! -d "$package/testdata" ] || cp -r "$package/testdata" "$payload/$package/"
	echo "echo '=== $package'; (cd $package && ./run.test ${flags[*]@Q}) || failed=1" >>"$payload/job"
done
printf '%s\n' "${command:-:} || failed=1" 'exit $failed' >>"$payload/job"
tar -C "$payload" -cf "$payload.tar" .
trap 'rm -rf "$payload" "$payload.tar"' EXIT

exec 9>bin/vm/lock
flock 9 # one machine at a time: each takes all the processors it gets
# The machine is made anew when its recipe changes.
recipe=$(cat test/vm/[a-z]* | sha256sum)
if [ "$recipe" != "$(cat "$dir/recipe" 2>/dev/null)" ]; then
	test/vm/root.sh "$arch" "$PWD/$dir"
	echo "$recipe" >"$dir/recipe"
fi

accel=tcg,thread=multi
[ ! -w /dev/kvm ] || [ "$(uname -m)" != $host ] || accel=kvm
status=0
nice -n 15 timeout --foreground -k 10 "$patience" "$qemu" -M $machine -accel $accel -cpu max -smp 2 -m 3G -nodefaults -display none -serial stdio -no-reboot \
	-kernel "$dir/vmlinuz" -initrd "$dir/initrd" \
	-append "console=$console quiet loglevel=3 panic=-1 $boot cgroup_no_v1=all apparmor=1 security=apparmor hugepages=8" \
	-drive "file=$dir/root.img,format=raw,if=virtio,snapshot=on" -drive "file=$payload.tar,format=raw,if=virtio,readonly=on" \
	</dev/null | sed -u 's/\r$//' | tee "$dir/log" || status=$?
[ $status = 0 ] || exit $status
status=$(sed -n 's/^vm: exit \([0-9]*\)$/\1/p' "$dir/log" | tail -n 1)
exit "${status:-2}"
