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
	for _, chapter := range [][]step{start(), walk(), purposes(), versions(), rules(), crash(), end()} {
		all = append(all, chapter...)
	}
	return all
}

func start() []step {
	return []step{
		{command: "mayfly version", shown: "v1.37.2"},
		{
			proves: "the host has what Mayfly needs", command: "mayfly doctor --data-dir ../data --run-dir ../run --listen 127.0.0.1:0",
			look: "Nothing but a Linux kernel is needed: no runc, conmon, CNI plugin, iptables or pause image.", vital: true,
		},
		{
			proves: "one process brings up API server, node and runtime", command: "mayfly up …", do: up, vital: true,
			look: "One process, ready in well under a second.",
		},
		{proves: "the node is Ready", command: "kubectl get nodes -o wide", shown: " Ready ", until: true},
		{proves: "images are imported: a docker archive", command: "mayfly image import busybox.tar", shown: "busybox", vital: true},
		{
			proves: "images are imported: an OCI layout, without any shell in it", command: "mayfly image import app-oci.tar", shown: "mayfly.test/app", vital: true,
			look: "This image holds one static program and no shell, as distroless images do.",
		},
		{command: "mayfly image import crasher.tar", shown: "crasher"},
		{command: "mayfly image list", shown: "busybox"},
	}
}

func walk() []step {
	return []step{
		{command: "cat example-pod.yaml"},
		{command: "kubectl apply -f example-pod.yaml", shown: "created", vital: true},
		{proves: "a Pod runs", command: "kubectl get pod example-pod -o wide", shown: "1/1 +Running", until: true, vital: true},
		{command: "cat ec.json"},
		{
			proves:  "an ephemeral container is added by its own handler, in the kind of v1.16",
			command: "kubectl replace --raw /api/v1/namespaces/default/pods/example-pod/ephemeralcontainers -f ec.json",
			shown:   `"kind":"EphemeralContainers".*"name":"debugger"`, vital: true,
			look: "The answer is the new list, word for word as the page shows it.",
		},
		{proves: "it runs", command: "kubectl get pod example-pod -o 'jsonpath={.status.ephemeralContainerStatuses[0].state}'", shown: "running", until: true},
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
		{proves: "kubectl logs tells what happened there", command: "kubectl logs example-pod -c debugger", shown: "for 86400 seconds"},
		{
			proves: "it ended with its exit code, and is not restarted", until: true, shown: `"exitCode":7`,
			command: "kubectl get pod example-pod -o 'jsonpath={.status.ephemeralContainerStatuses[0].state}'",
			look:    "Ephemeral containers are never restarted.",
		},
	}
}

func purposes() []step {
	return []step{
		{command: "kubectl apply -f distroless.yaml -f crashing.yaml", shown: "created"},
		{command: "kubectl wait --for=condition=Ready pod/distroless --timeout=30s", shown: "met"},
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
		{proves: "a container that crashes tells its exit code", command: "kubectl get pod crashing", shown: "Error|CrashLoopBackOff", until: true},
		{command: "kubectl debug crashing --image=busybox --image-pull-policy=IfNotPresent -c debugger -- sh -c 'echo the Pod can be entered; sleep 1000000'"},
		{
			proves: "a crashed Pod can be debugged all the same", command: "kubectl logs crashing -c debugger", shown: "can be entered", until: true,
			look: "Its only container is down, and yet there is a shell beside it.",
		},
		{command: "cat forward.sh"},
		{proves: "port-forward reaches a Pod", command: "sh forward.sh", shown: "hello from distroless"},
	}
}

func versions() []step {
	return []step{
		{command: "kubectl-1.32 version --client", shown: "v1.32"},
		{
			proves: "stock kubectl 1.32 debugs", command: "kubectl-1.32 debug -it example-pod --image=busybox --image-pull-policy=IfNotPresent --target=app --profile=general",
			terminal: []exchange{{"try pressing enter|/ #", "\r"}, {"/ #", "ps; exit\r"}, {"sleep 1000000", ""}},
			look:     "The target's process is the first of the list.",
		},
		{command: "kubectl-1.20 version --client --short", shown: "v1.20"},
		{
			proves: "Debian's kubectl 1.20.2 debugs, as kubectl alpha debug", command: "kubectl-1.20 alpha debug -it example-pod --image=busybox --image-pull-policy=IfNotPresent --target=app",
			terminal: []exchange{{"try pressing enter|/ #", "\r"}, {"/ #", "ps; exit\r"}, {"sleep 1000000", ""}},
			look:     "Six years lie between this client and this server.",
		},
		{proves: "kubectl 1.20.2 describes, execs and reads logs", command: "kubectl-1.20 exec example-pod -c app -- hostname; kubectl-1.20 describe pod example-pod | grep -A 3 '^Ephemeral'", shown: "example-pod"},
	}
}

func rules() []step {
	return []step{
		{
			proves: "an ephemeral container cannot be removed", fails: true, shown: "ephemeralContainers",
			command: `kubectl replace --raw /api/v1/namespaces/default/pods/example-pod/ephemeralcontainers -f none.json`,
		},
		{
			proves: "nor may it have ports, probes or resources", fails: true, shown: "ports",
			command: `kubectl patch pod example-pod --subresource=ephemeralcontainers -p '{"spec":{"ephemeralContainers":[{"name":"web","image":"busybox","ports":[{"containerPort":80}]}]}}'`,
		},
		{
			proves: "nor can any container be added by editing the Pod", fails: true, shown: "Forbidden|may not",
			command: `kubectl patch pod example-pod --type=json -p '[{"op":"add","path":"/spec/containers/-","value":{"name":"more","image":"busybox"}}]'`,
		},
	}
}

func crash() []step {
	return []step{
		{command: "kubectl debug example-pod --image=busybox --image-pull-policy=IfNotPresent -c survivor -- sleep 1000000"},
		{command: "kubectl get pod example-pod -o 'jsonpath={.status.ephemeralContainerStatuses[?(@.name==\"survivor\")].state}'", shown: "running", until: true},
		{proves: "kill -9 of Mayfly", command: "kill -9 $(pidof mayfly up)", do: func(_ context.Context, d *demo) error {
			_, _, err := d.instance.Signal(syscall.SIGKILL)
			return err
		}, look: "The whole of Mayfly is dead now; its containers are not."},
		{proves: "started again, it is ready at once", command: "mayfly up …", do: up, vital: true},
		{proves: "it finds every container again", command: "kubectl exec example-pod -c survivor -- echo I was here all along", shown: "all along", until: true},
		{proves: "what had ended stayed ended", command: "kubectl get pod example-pod -o 'jsonpath={.status.ephemeralContainerStatuses[?(@.name==\"debugger\")].state}'", shown: `"exitCode":7`},
	}
}

func end() []step {
	return []step{
		{proves: "mayfly down stops and removes everything", command: "mayfly down --purge --data-dir $MAYFLY_DATA_DIR --run-dir $MAYFLY_RUN_DIR"},
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
