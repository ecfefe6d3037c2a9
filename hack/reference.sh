#!/usr/bin/env bash
# Runs the reference: upstream's kube-apiserver and an etcd, on loopback, until it is interrupted. Both are built from
# their Go modules (test/reference), which takes ten minutes the first time.
#
#   hack/reference.sh                        prints the kubeconfig to use, as an administrator
#   MAYFLY_REFERENCE=$PWD/bin/reference/kubeconfig go test ./internal/apiserver -run TestMutatedCases
#                                            asks the reference, in place of Mayfly, whether it says what is recorded; it must be fresh
set -euo pipefail
cd "$(dirname "$0")/.."
readonly dir=$PWD/bin/reference port=${PORT:-26443}

die() { echo "reference: $*" >&2; exit 1; }
for program in openssl curl; do
	command -v "$program" >/dev/null || die "$program is needed: apt-get install $program"
done

mkdir -p "$dir"
version=$(sed -n 's/.*k8s.io\/kubernetes v/v/p' test/reference/go.mod)
readonly stamp="-X k8s.io/component-base/version.gitVersion=$version -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=$(cut -d. -f2 <<<"$version")"
(cd test/reference && CGO_ENABLED=0 GOFLAGS="-trimpath -buildvcs=false" go build -ldflags "-s -w $stamp" -o "$dir/" ./apiserver ./etcd)

data=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null; wait; rm -rf "$data"' EXIT
openssl genrsa -out "$data/accounts.key" 2048 2>/dev/null
token=$(openssl rand -hex 16)
(umask 077; echo "$token,admin,admin,\"system:masters\"" >"$data/tokens")
"$dir/etcd" --data-dir "$data/etcd" --unsafe-no-fsync --listen-client-urls "unix://$data/client:0" --advertise-client-urls "unix://$data/client:0" \
	--listen-peer-urls "unix://$data/peer:0" >"$data/etcd.log" 2>&1 &
"$dir/apiserver" --etcd-servers "unix://$data/client:0" --bind-address 127.0.0.1 --secure-port "$port" --cert-dir "$data/certs" \
	--token-auth-file "$data/tokens" --authorization-mode Node,RBAC --allow-privileged=true --service-cluster-ip-range 10.200.0.0/16 \
	--service-account-issuer https://kubernetes.default.svc --service-account-key-file "$data/accounts.key" \
	--service-account-signing-key-file "$data/accounts.key" >"$data/apiserver.log" 2>&1 &
for _ in $(seq 100); do
	curl -skf "https://127.0.0.1:$port/readyz" >/dev/null && break
	kill -0 $! 2>/dev/null || { tail -3 "$data/apiserver.log" >&2; die "kube-apiserver ended"; }
	sleep 0.3
done
(umask 077; cat >"$dir/kubeconfig" <<EOF
apiVersion: v1
kind: Config
clusters: [{name: reference, cluster: {server: "https://127.0.0.1:$port", insecure-skip-tls-verify: true}}]
users: [{name: admin, user: {token: $token}}]
contexts: [{name: reference, context: {cluster: reference, user: admin}}]
current-context: reference
EOF
)
echo "kube-apiserver $version: KUBECONFIG=$dir/kubeconfig"
wait
