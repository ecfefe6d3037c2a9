package validation_test

import (
	"encoding/json"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/mayfly-run/mayfly/internal/apiserver/defaults"
	"github.com/mayfly-run/mayfly/internal/apiserver/validation"
)

// TestPodStatusRules covers what a node may write: the refused fields of a status after another.
func TestPodStatusRules(t *testing.T) {
	const (
		ended   = `{"name":"app","state":{"terminated":{"exitCode":1}}}`
		running = `{"name":"app","state":{"running":{}}}`
	)
	list := func(kind, status string) string { return `{"` + kind + `":[` + status + `]}` }
	for name, c := range map[string]struct{ spec, before, after, want string }{
		"restarted":             {`{}`, list("containerStatuses", ended), list("containerStatuses", running), ""},
		"restarted never":       {`{"restartPolicy":"Never"}`, list("containerStatuses", ended), list("containerStatuses", running), "status.containerStatuses[0].state"},
		"restarted, own policy": {`{"restartPolicy":"Never","containers":[{"name":"app","image":"i","restartPolicy":"OnFailure"}]}`, list("containerStatuses", ended), list("containerStatuses", running), ""},
		"restarted by its rule": {`{"restartPolicy":"Never","containers":[{"name":"app","image":"i","restartPolicy":"Never","restartPolicyRules":[{"action":"Restart","exitCodes":{"operator":"NotIn","values":[0]}}]}]}`, list("containerStatuses", ended), list("containerStatuses", running), ""},
		"restarted, other rule": {`{"restartPolicy":"Never","containers":[{"name":"app","image":"i","restartPolicy":"Never","restartPolicyRules":[{"action":"Restart","exitCodes":{"operator":"In","values":[42]}}]}]}`, list("containerStatuses", ended), list("containerStatuses", running), "status.containerStatuses[0].state"},
		"restarted, unknown":    {`{"containers":[{"name":"b","image":"i"}]}`, list("containerStatuses", ended), list("containerStatuses", running), "status.containerStatuses[0].state"},
		"ephemeral restarted":   {`{}`, list("ephemeralContainerStatuses", ended), list("ephemeralContainerStatuses", running), "status.ephemeralContainerStatuses[0].state"},
		"class":                 {`{}`, `{"qosClass":"BestEffort"}`, `{"qosClass":"Burstable"}`, "status.qosClass"},
		"condition":             {`{}`, `{}`, `{"conditions":[{"type":"a b"},{"type":"Ready","observedGeneration":-1}]}`, "status.conditions[0].Type,status.conditions[1].observedGeneration"},
		"generation":            {`{}`, `{}`, `{"observedGeneration":-1}`, "status.observedGeneration"},
		"nominated":             {`{}`, `{}`, `{"nominatedNodeName":"A_"}`, "status.nominatedNodeName"},
		"nominated, bound":      {`{"nodeName":"n"}`, `{}`, `{"nominatedNodeName":"m"}`, "status.nominatedNodeName"},
		"nominated before":      {`{"nodeName":"n"}`, `{"nominatedNodeName":"m"}`, `{"nominatedNodeName":"m"}`, ""},
		"address":               {`{}`, `{}`, `{"podIPs":[{"ip":"010.0.0.1"}]}`, "status.podIPs[0]"},
		"address of old":        {`{}`, `{"podIPs":[{"ip":"010.0.0.1"}]}`, `{"podIPs":[{"ip":"010.0.0.1"}]}`, ""},
		"two families":          {`{}`, `{}`, `{"podIPs":[{"ip":"10.0.0.1"},{"ip":"fd00::1"}]}`, ""},
		"one family":            {`{}`, `{}`, `{"podIPs":[{"ip":"10.0.0.1"},{"ip":"10.0.0.2"}]}`, "status.podIPs"},
		"address twice":         {`{}`, `{}`, `{"podIPs":[{"ip":"10.0.0.1"},{"ip":"10.0.0.1"}]}`, "status.podIPs"},
		"host addresses":        {`{}`, `{}`, `{"hostIP":"10.0.0.3","hostIPs":[{"ip":"10.0.0.1"},{"ip":"10.0.0.2"}]}`, "status.hostIPs,status.hostIPs[0].ip"},
		"user":                  {`{}`, `{}`, list("initContainerStatuses", `{"name":"i","user":{"linux":{"uid":-1,"gid":-1,"supplementalGroups":[-1]}}}`), "status.initContainerStatuses[0].user.linux.gid,status.initContainerStatuses[0].user.linux.supplementalGroups[0],status.initContainerStatuses[0].user.linux.uid"},
		"user on windows":       {`{"os":{"name":"windows"}}`, `{}`, list("containerStatuses", `{"name":"app","user":{"linux":{"uid":0,"gid":0}}}`), "status.containerStatuses[0].user.linux"},
		"claim status":          {`{"resourceClaims":[{"name":"a","resourceClaimName":"x"}]}`, `{}`, `{"resourceClaimStatuses":[{"name":"a"},{"name":"a"},{"name":"b","resourceClaimName":"A_"}]}`, "status.resourceClaimStatuses[1].name,status.resourceClaimStatuses[2].name,status.resourceClaimStatuses[2].resourceClaimName"},
		"health":                {`{}`, `{}`, list("containerStatuses", `{"name":"app","allocatedResourcesStatus":[{"name":"a.b/c","resources":[{"resourceID":"1","health":"Fine"},{"resourceID":"1","health":"Unknown","message":""}]}]}`), "status.containerStatuses[0].allocatedResourcesStatus[0].name,status.containerStatuses[0].allocatedResourcesStatus[0].resources[0].health,status.containerStatuses[0].allocatedResourcesStatus[0].resources[1].message,status.containerStatuses[0].allocatedResourcesStatus[0].resources[1].resourceID"},
		"health of a claim":     {`{"containers":[{"name":"app","image":"i","resources":{"claims":[{"name":"a","request":"r"}]}}]}`, `{}`, list("containerStatuses", `{"name":"app","allocatedResourcesStatus":[{"name":"claim:a/r"}]}`), ""},
		"health, ephemeral":     {`{}`, `{}`, list("ephemeralContainerStatuses", `{"name":"e","allocatedResourcesStatus":[{"name":"claim:a/r"}]}`), "status.ephemeralContainerStatuses[0].allocatedResourcesStatus"},
	} {
		t.Run(name, func(t *testing.T) {
			before := pod(t, c.spec)
			before.UID, before.ResourceVersion = "u", "1"
			defaults.SetPod(before)
			after := before.DeepCopy()
			for body, p := range map[string]*corev1.Pod{c.before: before, c.after: after} {
				if err := json.Unmarshal([]byte(body), &p.Status); err != nil {
					t.Fatal(err)
				}
			}
			if c.before == c.after {
				before.Status = after.Status
			}
			errs := validation.PodStatusUpdate(after, before)
			if got := strings.Join(fieldsOf(errs), ","); got != c.want {
				t.Errorf("refused %q, want %q\n%v", got, c.want, errs.ToAggregate())
			}
		})
	}
}

// TestAllContainersRestart covers the rule of one container that brings every one back, even those that never restart.
func TestAllContainersRestart(t *testing.T) {
	ended := []corev1.ContainerStatus{{Name: "a", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{}}}}
	for action, want := range map[string]string{
		"RestartAllContainers": "",
		"Restart":              "status.containerStatuses[0].state,status.initContainerStatuses[0].state",
	} {
		before := pod(t, `{"restartPolicy":"Never","initContainers":[{"name":"i","image":"i"}],"containers":[{"name":"a","image":"i"},
			{"name":"b","image":"i","restartPolicy":"Never","restartPolicyRules":[{"action":"`+action+`","exitCodes":{"operator":"In","values":[42]}}]}]}`)
		before.UID, before.ResourceVersion = "u", "1"
		defaults.SetPod(before)
		before.Status.ContainerStatuses, before.Status.InitContainerStatuses = ended, ended
		after := before.DeepCopy()
		after.Status.ContainerStatuses[0].State = corev1.ContainerState{}
		after.Status.InitContainerStatuses[0].State = corev1.ContainerState{}
		if got := strings.Join(fieldsOf(validation.PodStatusUpdate(after, before)), ","); got != want {
			t.Errorf("%s: refused %q, want %q", action, got, want)
		}
	}
}
