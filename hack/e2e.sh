#!/usr/bin/env bash
# Runs upstream's end-to-end suite (k8s.io/kubernetes' test/e2e, pinned in test/reference/go.mod) on a throw-away Mayfly, as
# root. Fails when a spec fails that test/e2e/expected.txt does not list. Arguments go to test/e2e:
# `hack/e2e.sh -focus 'Ephemeral Containers'` runs the specs that match. Building takes a quarter of an hour the first time.
set -euo pipefail
cd "$(dirname "$0")/.."
export CGO_ENABLED=0 GOFLAGS="-trimpath -buildvcs=false" # as Mayfly is built, whose packages it shares

[ "$(id -u)" = 0 ] || { echo "e2e: containers need root" >&2; exit 1; }
make -s build tools
readonly dir=$PWD/bin/e2e upstream=k8s.io/kubernetes
mkdir -p "$dir"
cd test/reference
version=$(sed -n 's/.*k8s.io\/kubernetes v/v/p' go.mod)
go test -c -ldflags '-s -w' -o "$dir/e2e.test" ./e2e
go build -ldflags "-s -w -X k8s.io/component-base/version.gitVersion=$version" -o "$dir/" \
	$upstream/cmd/kubectl $upstream/test/images/agnhost $upstream/test/images/nonewprivs github.com/onsi/ginkgo/v2/ginkgo
install -m 0644 "$(go list -f '{{.Dir}}' $upstream/test/images/agnhost)"/porter/localhost.{crt,key} "$dir/"
cd ../..
go build -o "$dir/run" ./test/e2e
# In a network of its own: the API server listens on all addresses, so that Pods reach it, and nobody else does.
exec unshare --net bash -c '
	ip link set lo up
	ip link add e2e type bridge && ip address add 192.0.2.2/24 dev e2e && ip link set e2e up && ip route add default via 192.0.2.1
	exec "$@"' e2e "$dir/run" "$@"
