package main

import (
	"context"
	"fmt"
	"strings"
	"syscall"
	"time"
)

// steps are the demo, in order.
func steps() []step {
	var all []step
	for _, chapter := range [][]step{start(), walk(), purposes(), versions(), rules(), deployment(), crash(), end()} {
		all = append(all, chapter...)
	}
	return all
}

func start() []step {
	return []step{
		{chapter: "A machine becomes a node", command: "mayfly version", shown: "v1.37.2", look: "The first number is that of the Kubernetes API which it serves."},
		{
			proves: "the host has what Mayfly needs", command: "mayfly doctor --data-dir ../data --run-dir ../run --listen 127.0.0.1:0 --pod-cidr $POD_CIDR",
			look: "Nothing but a Linux kernel is needed: no runc, conmon, CNI plugin, iptables or pause image.", vital: true,
		},
		{
			proves: "one process brings up API server, node and runtime", command: "mayfly up …", do: up, vital: true,
			look: "API server, etcd, controllers, node agent and runtime are one process. The line says how long it took.",
		},
		{proves: "the node is Ready", command: "kubectl get nodes -o wide", shown: " Ready ", until: true, look: "This kubectl is `mayfly kubectl`: the real one, built in."},
		{proves: "images are imported: a docker archive", command: "mayfly image import busybox.tar", shown: "busybox", vital: true, look: "Made from this machine's busybox, as `docker save` writes an image. No registry is needed."},
		{
			proves: "images are imported: an OCI layout, without any shell in it", command: "mayfly image import app-oci.tar", shown: "mayfly.test/app", vital: true,
			look: "This image holds one static program and no shell, as distroless images do.",
		},
		{command: "mayfly image import crasher.tar", shown: "crasher", look: "One whose program ends at once with an error."},
		{command: "mayfly image list", shown: "busybox", look: "All three are stored, ready for Pods."},
	}
}

func walk() []step {
	return []step{
		{chapter: "The walk: an ephemeral container in a running Pod", command: "cat example-pod.yaml", look: "A Pod of one container."},
		{command: "kubectl apply -f example-pod.yaml", shown: "created", vital: true, look: "The API server has it; a scheduler, the node agent and the runtime go on from there."},
		{proves: "a Pod runs", command: "kubectl get pod example-pod -o wide", shown: "1/1 +Running", until: true, vital: true, look: "It runs, and has an address of its own."},
		{command: "cat ec.json", look: "An ephemeral container, in the kind that Kubernetes had for it from 1.16 to 1.21."},
		{
			proves:  "an ephemeral container is added by its own handler, in the kind of v1.16",
			command: "kubectl replace --raw /api/v1/namespaces/default/pods/example-pod/ephemeralcontainers -f ec.json",
			shown:   `"kind":"EphemeralContainers".*"name":"debugger"`, vital: true,
			look: "The answer is the new list, word for word as the page shows it.",
		},
		{proves: "it runs", command: "kubectl get pod example-pod -o 'jsonpath={.status.ephemeralContainerStatuses[0].state}'", shown: "running", until: true, look: "It runs in the Pod that was there before it."},
		{
			proves: "kubectl describe shows it", command: "kubectl describe pod example-pod | sed -n '/^Ephemeral Containers/,/^Conditions/p'",
			shown: `State: +Running`, look: "State: Running, Ready: False, Restart Count: 0, no ports, no resources.",
		},
		{
			proves: "kubectl exec reaches it", command: "kubectl exec example-pod -c debugger -- ps", shown: "sh",
			look: "It has a process namespace of its own unless a target is named.",
		},
		{
			proves: "kubectl attach: a shell on a terminal", command: "kubectl attach -it example-pod -c debugger",
			terminal: []exchange{{"try pressing enter|/ #", "\r"}, {"/ #", "echo I live for $((3600*24)) seconds\r"}, {"for 86400 seconds", "exit 7\r"}},
			look:     "A real terminal, in a container that was not there when the Pod started.",
		},
		{proves: "kubectl logs tells what happened there", command: "kubectl logs example-pod -c debugger", shown: "for 86400 seconds", look: "The whole session, whether or not anybody was attached."},
		{
			proves: "it ended with its exit code, and is not restarted", until: true, shown: `"exitCode":7`,
			command: "kubectl get pod example-pod -o 'jsonpath={.status.ephemeralContainerStatuses[0].state}'",
			look:    "Ephemeral containers are never restarted.",
		},
	}
}

func purposes() []step {
	return []step{
		{chapter: "What they are for: no shell, and a crash", command: "kubectl apply -f distroless.yaml -f crashing.yaml", shown: "created", look: "A Pod whose image has no shell, and one whose container crashes."},
		{command: "kubectl wait --for=condition=Ready pod/distroless --timeout=60s", shown: "met", look: "The first of them serves HTTP on port 8080."},
		{
			proves: "an image without a shell cannot be entered by exec", command: "kubectl exec distroless -- sh", fails: true, shown: "sh",
			look: "There is no shell to run.",
		},
		{
			proves:  "kubectl debug gives it one, and shows the application's processes",
			command: "kubectl debug -it distroless --image=busybox --image-pull-policy=IfNotPresent --target=app",
			terminal: []exchange{
				{"try pressing enter|/ #", "\r"},
				{"/ #", "ps\r"},
				{"/app serve", "cat /proc/1/root/etc/passwd\r"},
				{"nonroot", "app get http://127.0.0.1:8080/from-the-debugger\r"},
				{"hello from distroless", "exit\r"},
			},
			look: "The debugger sees the application's process 1, its files below /proc/1/root, and its network.",
		},
		{proves: "a container that crashes tells its exit code", command: "kubectl get pod crashing", shown: "Error|CrashLoopBackOff", until: true, look: "It is started again, each time after a longer while."},
		{command: "kubectl debug crashing --image=busybox --image-pull-policy=IfNotPresent -c debugger -- sh -c 'echo the Pod can be entered; sleep 1000000'", look: "No answer is good news."},
		{
			proves: "a crashed Pod can be debugged all the same", command: "kubectl logs crashing -c debugger", shown: "can be entered", until: true,
			look: "Its only container is down, and yet there is a shell beside it.",
		},
		{command: "cat forward.sh", look: "It forwards a free local port to the Pod, fetches a page through it, and stops."},
		{proves: "port-forward reaches a Pod", command: "sh forward.sh", shown: "hello from distroless", look: "The page came from inside the Pod."},
	}
}

func versions() []step {
	return []step{
		{chapter: "Other kubectls", command: "kubectl-1.32 version --client", shown: "v1.32", look: "Stock kubectl, built from its public module."},
		{
			proves: "stock kubectl 1.32 debugs", command: "kubectl-1.32 debug -it example-pod --image=busybox --image-pull-policy=IfNotPresent --target=app --profile=general",
			terminal: []exchange{{"try pressing enter|/ #", "\r"}, {"/ #", "ps; exit\r"}, {"sleep 1000000", ""}},
			look:     "The target's process is the first of the list.",
		},
		{command: "kubectl-1.20 version --client --short", shown: "v1.20", look: "As Debian 12 packages it."},
		{
			proves: "Debian's kubectl 1.20.2 debugs, as kubectl alpha debug", command: "kubectl-1.20 alpha debug -it example-pod --image=busybox --image-pull-policy=IfNotPresent --target=app",
			terminal: []exchange{{"try pressing enter|/ #", "\r"}, {"/ #", "ps; exit\r"}, {"sleep 1000000", ""}},
			look:     "Six years lie between this client and this server.",
		},
		{proves: "kubectl 1.20.2 describes, execs and reads logs", command: "kubectl-1.20 exec example-pod -c app -- hostname; kubectl-1.20 describe pod example-pod | grep -A 3 '^Ephemeral'", shown: "example-pod", look: "It finds the ephemeral containers in today's Pod."},
	}
}

func rules() []step {
	return []step{
		{
			chapter: "The rules", proves: "an ephemeral container cannot be removed", fails: true, shown: "ephemeralContainers",
			look:    "Once there, it stays until the Pod is gone.",
			command: `kubectl replace --raw /api/v1/namespaces/default/pods/example-pod/ephemeralcontainers -f none.json`,
		},
		{
			proves: "nor may it have ports, probes or resources", fails: true, shown: "ports",
			look:    "The answer names the field to blame.",
			command: `kubectl patch pod example-pod --subresource=ephemeralcontainers -p '{"spec":{"ephemeralContainers":[{"name":"web","image":"busybox","ports":[{"containerPort":80}]}]}}'`,
		},
		{
			proves: "nor can any container be added by editing the Pod", fails: true, shown: "Forbidden|may not",
			look:    "What a Pod is made of does not change; ephemeral containers alone have a way in.",
			command: `kubectl patch pod example-pod --type=json -p '[{"op":"add","path":"/spec/containers/-","value":{"name":"more","image":"busybox"}}]'`,
		},
	}
}

func deployment() []step {
	const pods = "kubectl get pods -l app=web -o 'custom-columns=POD:.metadata.name,CONTAINERS:.spec.containers[*].name,DELETED:.metadata.deletionTimestamp'"
	return []step{
		{
			chapter: "Pods are replaced, not changed", command: "kubectl apply -f web.yaml && kubectl rollout status deployment/web --timeout=60s",
			shown: "successfully rolled out", look: "A Deployment of one Pod.",
		},
		{
			proves: "a Deployment replaces a Pod that is deleted", command: "kubectl delete pod -l app=web --grace-period=1 && kubectl rollout status deployment/web --timeout=60s",
			shown: "successfully rolled out", look: "Another Pod has taken its place.",
		},
		{
			proves: "a Deployment that is edited replaces its Pod", shown: "successfully rolled out",
			command: "kubectl patch deployment web --patch-file more.yaml && kubectl rollout status deployment/web --timeout=60s",
			look:    "Its template now has one more container, which no Pod could be given.",
		},
		{command: pods, shown: `web-\S+ +(more,web|web,more) +<none>`, until: true, look: "The new Pod has both containers; the old one is gone or about to be."},
		{command: "kubectl delete deployment web", shown: "deleted", look: "Its Pods go with it."},
	}
}

func crash() []step {
	return []step{
		{chapter: "A crash of Mayfly", look: "An ephemeral container that is to outlive Mayfly.", command: "kubectl debug example-pod --image=busybox --image-pull-policy=IfNotPresent -c survivor -- sleep 1000000"},
		{command: "kubectl get pod example-pod -o 'jsonpath={.status.ephemeralContainerStatuses[?(@.name==\"survivor\")].state}'", shown: "running", until: true, look: "It runs."},
		{proves: "kill -9 of Mayfly", command: "kill -9 $(pidof mayfly up)", do: func(_ context.Context, d *demo) error {
			_, _, err := d.instance.Signal(syscall.SIGKILL)
			return err
		}, look: "The whole of Mayfly is dead now; its containers are not."},
		{proves: "it starts again", command: "mayfly up …", do: up, vital: true, look: "The same command, the same data."},
		{proves: "it finds every container again", command: "kubectl exec example-pod -c survivor -- echo I was here all along", shown: "all along", until: true, look: "The same process, never stopped."},
		{proves: "what had ended stayed ended", command: "kubectl get pod example-pod -o 'jsonpath={.status.ephemeralContainerStatuses[?(@.name==\"debugger\")].state}'", shown: `"exitCode":7`, look: "An ephemeral container that ended is not started again, not after a crash either."},
	}
}

func end() []step {
	return []step{
		{
			chapter: "Gone without a trace", proves: "mayfly down stops and removes everything", command: "mayfly down --purge --data-dir $MAYFLY_DATA_DIR --run-dir $MAYFLY_RUN_DIR",
			look: "Mayfly itself, every Pod, and with --purge all data.",
		},
		{
			proves: "nothing is left on the machine", command: "# mounts, processes, interfaces, cgroups, nftables", do: nothingLeft,
			look: "No mount, process, interface, cgroup or nftables table stays behind.",
		},
	}
}

func up(ctx context.Context, d *demo) error {
	before := len(d.instance.Output())
	err := d.instance.Up(ctx)
	fmt.Fprint(d.out, indent(d.instance.Output()[before:]))
	return err
}

func nothingLeft(_ context.Context, d *demo) error {
	if left := d.instance.Await(5 * time.Second); len(left) > 0 {
		return fmt.Errorf("left behind: %s", strings.Join(left, "; "))
	}
	return nil
}

// files are what the walk's commands read.
var files = map[string]string{
	"example-pod.yaml": `apiVersion: v1
kind: Pod
metadata:
  name: example-pod
spec:
  containers:
  - name: app
    image: busybox
    imagePullPolicy: IfNotPresent
    command: ["sleep", "1000000"]
`,
	"ec.json": `{
    "apiVersion": "v1",
    "kind": "EphemeralContainers",
    "metadata": {
        "name": "example-pod"
    },
    "ephemeralContainers": [{
        "command": [
            "sh"
        ],
        "image": "busybox",
        "imagePullPolicy": "IfNotPresent",
        "name": "debugger",
        "stdin": true,
        "tty": true,
        "terminationMessagePolicy": "File"
    }]
}
`,
	"forward.sh": `kubectl port-forward pod/distroless :8080 > forward.log &
trap "kill $!" EXIT
until url=$(sed -n 's/^Forwarding from \(127[^ ]*\) .*/\1/p' forward.log) && [ -n "$url" ]; do sleep 0.1; done
app get "http://$url/forwarded"
`,
	"web.yaml": `apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: web
        image: mayfly.test/app:1.0
        imagePullPolicy: Never
`,
	"more.yaml": `spec:
  template:
    spec:
      containers:
      - name: more
        image: busybox
        imagePullPolicy: Never
        command: ["sleep", "1000000"]
`,
	"none.json": `{"apiVersion": "v1", "kind": "EphemeralContainers", "metadata": {"name": "example-pod"}, "ephemeralContainers": []}
`,
	"distroless.yaml": `apiVersion: v1
kind: Pod
metadata:
  name: distroless
spec:
  containers:
  - name: app
    image: mayfly.test/app:1.0
    imagePullPolicy: Never
`,
	"crashing.yaml": `apiVersion: v1
kind: Pod
metadata:
  name: crashing
spec:
  containers:
  - name: app
    image: mayfly.test/crasher:1.0
    imagePullPolicy: Never
`,
}
