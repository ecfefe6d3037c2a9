package apiserver

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
)

const auditPolicy = `
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Request
  resources: [{group: "", resources: [pods/ephemeralcontainers]}]
- level: None
`

func TestAuditShowsWhoAddsAnEphemeralContainer(t *testing.T) {
	dir := t.TempDir()
	policy, log := filepath.Join(dir, "policy.yaml"), filepath.Join(dir, "audit.log")
	if err := os.WriteFile(policy, []byte(auditPolicy), 0o600); err != nil {
		t.Fatal(err)
	}
	i := launchWith(t, dir, func(c *Config) { c.AuditPolicyFile, c.AuditLogPath = policy, log })
	t.Cleanup(i.Stop)
	set := clientset(t, i.Admin())
	makeDefaultAccount(t, set, "default")
	p, err := set.CoreV1().Pods("default").Create(t.Context(), benchPod("p"), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	p.Spec.EphemeralContainers = []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: "dbg", Image: "busybox"}}}
	if _, err := set.CoreV1().Pods("default").UpdateEphemeralContainers(t.Context(), "p", p, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	events := auditEvents(t, log)
	if len(events) != 1 {
		t.Fatalf("%d events", len(events))
	}
	e := events[0]
	if e.Verb != "update" || e.ObjectRef.Subresource != "ephemeralcontainers" || e.User.Username == "" || len(e.User.Groups) == 0 ||
		len(e.SourceIPs) == 0 || e.ResponseStatus.Code != 200 || !strings.Contains(string(e.RequestObject.Raw), `"dbg"`) ||
		e.Annotations["authorization.k8s.io/decision"] != "allow" {
		t.Errorf("event: %+v", e)
	}
}

func auditEvents(t *testing.T, path string) []auditv1.Event {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var events []auditv1.Event
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var e auditv1.Event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			t.Fatal(err)
		}
		events = append(events, e)
	}
	return events
}

func TestAuditWithoutAPolicyIsRefused(t *testing.T) {
	s := &Server{cfg: Config{AuditLogPath: "x"}}
	if err := s.audit(nil); err == nil || !strings.Contains(err.Error(), "policy") {
		t.Errorf("error: %v", err)
	}
}
