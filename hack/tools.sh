#!/usr/bin/env bash
# Gets what the end-to-end tests and the demo run besides Mayfly, into bin/: a static busybox, kubectl 1.32 built from
# its public module, Debian's kubectl 1.20.2 and CNI plugins, and the test program of the images; and onto this machine
# Debian's runc, crun, and iptables, which the plugins run. What is there already is kept.
# BUSYBOX, KUBECTL120 and CNI_PLUGINS name programs, and a directory of plugins, to use instead of Debian's.
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p bin

readonly kubectl132_version=1.32.13

die() { echo "tools: $*" >&2; exit 1; }

updated=
apt_update() {
	[ -z "$updated" ] || return 0
	command -v apt-get >/dev/null || die "$1 is needed and this is no Debian: name it with $2"
	[ "$(id -u)" = 0 ] || die "$1 is installed with apt-get, which takes root: or name it with $2"
	apt-get update -qq || die "apt-get update failed, see above"
	updated=yes
}

busybox() {
	[ -x bin/busybox ] && return
	local from=${BUSYBOX:-}
	if [ -z "$from" ]; then
		[ -x /bin/busybox ] && ! ldd /bin/busybox >/dev/null 2>&1 || {
			apt_update busybox-static BUSYBOX
			DEBIAN_FRONTEND=noninteractive apt-get install -qq -y busybox-static >/dev/null || die "apt-get install busybox-static failed, see above"
		}
		from=/bin/busybox
	fi
	install -m 0755 "$from" bin/busybox
}

# unpack PACKAGE DIR puts a package's files below a directory, for what must not be installed.
unpack() {
	chmod 0755 "$2"
	(cd "$2" && apt-get download -qq "$1") || die "apt-get download $1 failed, see above"
	dpkg -x "$2/$1"_*.deb "$2/root"
}

# The package conflicts with an installed kubectl.
kubectl120() {
	[ -x bin/kubectl-1.20 ] && return
	local from=${KUBECTL120:-} dir
	if [ -z "$from" ]; then
		apt_update kubernetes-client KUBECTL120
		dir=$(mktemp -d)
		trap 'rm -rf "$dir"' RETURN
		unpack kubernetes-client "$dir"
		from=$dir/root/usr/bin/kubectl
	fi
	"$from" version --client 2>/dev/null | grep -q 'v1\.20\.' || die "$from is not kubectl 1.20"
	install -m 0755 "$from" bin/kubectl-1.20
}

kubectl132() {
	[ -x bin/kubectl-1.32 ] && [ bin/kubectl-1.32 -nt test/kubectl132/go.mod ] && return
	local v=k8s.io/component-base/version
	echo "tools: building kubectl $kubectl132_version"
	(cd test/kubectl132 && CGO_ENABLED=0 go build -trimpath -buildvcs=false \
		-ldflags "-s -w -X $v.gitVersion=v$kubectl132_version -X $v.gitMajor=1 -X $v.gitMinor=32" -o ../../bin/kubectl-1.32 .)
}

# A machine with plugins in their usual place would look as if its Pods were to be connected by them.
plugins() {
	[ -x bin/cni/bridge ] && return
	local from=${CNI_PLUGINS:-} dir
	if [ -z "$from" ]; then
		apt_update containernetworking-plugins CNI_PLUGINS
		dir=$(mktemp -d)
		trap 'rm -rf "$dir"' RETURN
		unpack containernetworking-plugins "$dir"
		from=$dir/root/usr/lib/cni
	fi
	install -D -m 0755 -t bin/cni "$from"/{bridge,host-local,portmap}
}

# The OCI runtimes of the tests of runtime handlers and what CNI plugins run, installed, for they need their libraries.
installed() {
	local name
	for name in runc crun iptables; do
		command -v "$name" >/dev/null && continue
		apt_update "$name" "a package of your system"
		DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$name" >/dev/null || die "apt-get install $name failed, see above"
	done
}

program() {
	CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags '-s -w' -o bin/testapp ./test/program/app
}

busybox
kubectl120
kubectl132
plugins
installed
program
