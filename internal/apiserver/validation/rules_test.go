package validation_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/mayfly-run/mayfly/internal/apiserver/defaults"
	"github.com/mayfly-run/mayfly/internal/apiserver/validation"
)

// pod reads a Pod whose spec is the given JSON; a container named app is added when there is none.
func pod(t testing.TB, spec string) *corev1.Pod {
	t.Helper()
	p := &corev1.Pod{}
	p.Name, p.Namespace = "p", "cases"
	p.Spec.ServiceAccountName = "default"
	if err := json.Unmarshal([]byte(spec), &p.Spec); err != nil {
		t.Fatal(err)
	}
	if p.Spec.Containers == nil {
		p.Spec.Containers = []corev1.Container{{Name: "app", Image: "busybox"}}
	}
	return p
}

func judged(p *corev1.Pod) field.ErrorList {
	defaults.SetPod(p)
	defaults.SetPodResources(p)
	validation.DropDisabledPodFields(p, nil)
	return validation.PodCreate(p)
}

// fieldsOf are the refused fields, without the word spec in front.
func fieldsOf(errs field.ErrorList) []string {
	fields := []string{}
	for _, e := range errs {
		fields = append(fields, strings.TrimPrefix(e.Field, "spec."))
	}
	slices.Sort(fields)
	return slices.Compact(fields)
}

// TestPodSpecRules covers rules that the recorded cases do not reach: the refused fields of a spec, none if valid.
func TestPodSpecRules(t *testing.T) {
	const app = `"name":"app","image":"i"`
	for name, c := range map[string]struct{ spec, want string }{
		"account name":            {`{"serviceAccountName":"A_"}`, "serviceAccountName"},
		"node name":               {`{"nodeName":"-"}`, "nodeName"},
		"gated and bound":         {`{"nodeName":"n","schedulingGates":[{"name":"g"}]}`, "nodeName"},
		"gate name":               {`{"schedulingGates":[{"name":"a b"}]}`, "schedulingGates[0]"},
		"readiness gate":          {`{"readinessGates":[{"conditionType":"a b"}]}`, "readinessGates[0].conditionType"},
		"restart policy":          {`{"restartPolicy":"Sometimes"}`, "restartPolicy"},
		"dns policy":              {`{"dnsPolicy":"X"}`, "dnsPolicy"},
		"dns none":                {`{"dnsPolicy":"None"}`, "dnsConfig"},
		"dns none empty":          {`{"dnsPolicy":"None","dnsConfig":{}}`, "dnsConfig.nameservers"},
		"dns four":                {`{"dnsConfig":{"nameservers":["1.1.1.1","1.1.1.2","1.1.1.3","1.1.1.4"]}}`, "dnsConfig.nameservers"},
		"dns relaxed":             {`{"dnsConfig":{"searches":["_a.b.","."]}}`, ""},
		"dns search":              {`{"dnsConfig":{"searches":["A!"]}}`, "dnsConfig.searches[0]"},
		"dns option":              {`{"dnsConfig":{"options":[{"value":"1"}]}}`, "dnsConfig.options[0]"},
		"old ip form":             {`{"hostAliases":[{"ip":"010.0.0.1","hostnames":["a"]}]}`, "hostAliases[0].ip"},
		"alias name":              {`{"hostAliases":[{"ip":"1.1.1.1","hostnames":["A_"]}]}`, "hostAliases[0].hostnames[0]"},
		"pull secret unnamed":     {`{"imagePullSecrets":[{}]}`, ""},
		"node selector":           {`{"nodeSelector":{"a b":"c"}}`, "nodeSelector"},
		"priority class name":     {`{"priorityClassName":"A_"}`, "priorityClassName"},
		"preemption policy":       {`{"preemptionPolicy":"X"}`, "preemptionPolicy"},
		"runtime class":           {`{"runtimeClassName":"A_"}`, "runtimeClassName"},
		"overhead":                {`{"overhead":{"gpu":"1"}}`, "overhead.limits[gpu]"},
		"override":                {`{"hostnameOverride":"` + strings.Repeat("a", 65) + `"}`, "hostnameOverride"},
		"override host network":   {`{"hostnameOverride":"a","hostNetwork":true}`, "hostnameOverride"},
		"user namespace":          {`{"hostUsers":false,"hostNetwork":true,"hostIPC":true}`, "HostIPC,hostNetwork"},
		"toleration effect":       {`{"tolerations":[{"key":"a","effect":"X"}]}`, "tolerations[0].effect"},
		"toleration exists value": {`{"tolerations":[{"key":"a","operator":"Exists","value":"b"}]}`, "tolerations[0].operator"},
		"toleration everything":   {`{"tolerations":[{"operator":"Exists"}]}`, ""},
		"toleration greater":      {`{"tolerations":[{"key":"a","operator":"Gt","value":"1"}]}`, "tolerations[0].operator"},
		"claims":                  {`{"resourceClaims":[{"name":"a"},{"name":"a","resourceClaimName":"x"}]}`, "resourceClaims[0],resourceClaims[1].name"},
		"claim used":              {`{"resourceClaims":[{"name":"a","resourceClaimName":"x"}],"containers":[{` + app + `,"resources":{"claims":[{"name":"a"}]}}]}`, ""},
		"spread":                  {`{"topologySpreadConstraints":[{"maxSkew":0,"topologyKey":"","whenUnsatisfiable":"X"}]}`, "topologySpreadConstraints[0].maxSkew,topologySpreadConstraints[0].topologyKey,topologySpreadConstraints[0].whenUnsatisfiable"},
		"spread twice":            {`{"topologySpreadConstraints":[{"maxSkew":1,"topologyKey":"z","whenUnsatisfiable":"DoNotSchedule"},{"maxSkew":1,"topologyKey":"z","whenUnsatisfiable":"DoNotSchedule"}]}`, "topologySpreadConstraints[0].{topologyKey, whenUnsatisfiable}"},
		"spread domains":          {`{"topologySpreadConstraints":[{"maxSkew":1,"topologyKey":"z","whenUnsatisfiable":"ScheduleAnyway","minDomains":1}]}`, "topologySpreadConstraints[0].minDomains"},
		"spread keys":             {`{"topologySpreadConstraints":[{"maxSkew":1,"topologyKey":"z","whenUnsatisfiable":"ScheduleAnyway","matchLabelKeys":["a"]}]}`, "topologySpreadConstraints[0].matchLabelKeys"},
		"preferred weight":        {`{"affinity":{"nodeAffinity":{"preferredDuringSchedulingIgnoredDuringExecution":[{"weight":101,"preference":{}}]}}}`, "affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].weight"},
		"pod affinity":            {`{"affinity":{"podAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":[{"topologyKey":"","namespaces":["A"]}]}}}`, "affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].namespace,affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].topologyKey"},
		"pod affinity keys":       {`{"affinity":{"podAntiAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":[{"topologyKey":"z","labelSelector":{},"matchLabelKeys":["a"],"mismatchLabelKeys":["a"]}]}}}`, "affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].matchLabelKeys[0]"},
		"node field":              {`{"affinity":{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[{"matchFields":[{"key":"spec.x","operator":"Gt","values":["1"]}]}]}}}}`, "affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchFields[0].key,affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchFields[0].operator"},
		"windows":                 {`{"os":{"name":"windows"},"hostPID":true,"securityContext":{"runAsUser":1}}`, "hostPID,securityContext.runAsUser"},
		"linux":                   {`{"os":{"name":"linux"},"securityContext":{"windowsOptions":{}}}`, "securityContext.windowsOptions"},
		"os unnamed":              {`{"os":{}}`, "os.name"},
		"pod requests":            {`{"resources":{"requests":{"cpu":"1"}},"containers":[{` + app + `,"resources":{"requests":{"cpu":"2"}}}]}`, "resources.requests[cpu]"},
		"pod limits":              {`{"resources":{"limits":{"cpu":"1"}},"containers":[{` + app + `,"resources":{"requests":{"cpu":"1"},"limits":{"cpu":"2"}}}]}`, "resources.containers[0][cpu].limits"},
		"pod resource name":       {`{"resources":{"limits":{"ephemeral-storage":"1"}}}`, "resources.limits[ephemeral-storage]"},
		"pod claims":              {`{"resources":{"claims":[{"name":"a"}]}}`, "resources.claims,resources.claims[0]"},
		"volume two":              {`{"volumes":[{"name":"v","configMap":{"name":"c"},"persistentVolumeClaim":{"claimName":"x"}}]}`, "volumes[0].configMap"},
		"volume name":             {`{"volumes":[{"name":"A_"}]}`, "volumes[0].name"},
		"token short":             {`{"volumes":[{"name":"v","projected":{"sources":[{"serviceAccountToken":{"path":"t","expirationSeconds":5}}]}}]}`, "volumes[0].projected.sources[0].serviceAccountToken.expirationSeconds"},
		"token pathless":          {`{"volumes":[{"name":"v","projected":{"sources":[{"serviceAccountToken":{}}]}}]}`, "volumes[0].projected.path"},
		"trust bundle":            {`{"volumes":[{"name":"v","projected":{"sources":[{"clusterTrustBundle":{"signerName":"a.b/c","path":"p"}},{"clusterTrustBundle":{"path":"../q"}}]}}]}`, "volumes[0].projected.sources[1].clusterTrustBundle,volumes[0].projected.sources[1].clusterTrustBundle.path"},
		"projection two":          {`{"volumes":[{"name":"v","projected":{"sources":[{"secret":{"name":"a"},"configMap":{"name":"b"}}]}}]}`, "volumes[0].projected.sources[0]"},
		"mode":                    {`{"volumes":[{"name":"v","secret":{"secretName":"s","defaultMode":512}}]}`, "volumes[0].secret.defaultMode"},
		"iscsi":                   {`{"volumes":[{"name":"v","iscsi":{"targetPortal":"p","iqn":"bad","lun":300}}]}`, "volumes[0].iscsi.iqn,volumes[0].iscsi.lun"},
		"fc":                      {`{"volumes":[{"name":"v","fc":{"targetWWNs":["a"]}}]}`, "volumes[0].fc.lun"},
		"csi":                     {`{"volumes":[{"name":"v","csi":{"driver":"A_!"}}]}`, "volumes[0].csi.driver"},
		"claim template":          {`{"volumes":[{"name":"v","ephemeral":{"volumeClaimTemplate":{"metadata":{"name":"x"},"spec":{}}}}]}`, "volumes[0].ephemeral.volumeClaimTemplate.metadata.name,volumes[0].ephemeral.volumeClaimTemplate.spec.accessModes,volumes[0].ephemeral.volumeClaimTemplate.spec.resources[storage]"},
		"claim of own making":     {`{"volumes":[{"name":"v","ephemeral":{"volumeClaimTemplate":{"spec":{"accessModes":["ReadWriteOnce"],"resources":{"requests":{"storage":"1"}}}}}},{"name":"w","persistentVolumeClaim":{"claimName":"p-v"}}]}`, "volumes[1].persistentVolumeClaim.claimName"},
		"read only mounts":        {`{"volumes":[{"name":"v"}],"containers":[{` + app + `,"volumeMounts":[{"name":"v","mountPath":"/a","recursiveReadOnly":"Enabled"}]}]}`, "containers[0].volumeMounts.recursiveReadOnly"},
		"device":                  {`{"volumes":[{"name":"v"}],"containers":[{` + app + `,"volumeDevices":[{"name":"v","devicePath":"/a/../b"}]}]}`, "containers[0].volumeDevices[0].devicePath,containers[0].volumeDevices[0].name"},
		"env source empty":        {`{"containers":[{` + app + `,"env":[{"name":"A","valueFrom":{}}]}]}`, "containers[0].env[0].valueFrom"},
		"env subscript":           {`{"containers":[{` + app + `,"env":[{"name":"A","valueFrom":{"fieldRef":{"fieldPath":"metadata.labels['a b']"}}}]}]}`, "containers[0].env[0].valueFrom.fieldRef"},
		"env phase":               {`{"containers":[{` + app + `,"env":[{"name":"A","valueFrom":{"fieldRef":{"fieldPath":"status.phase"}}}]}]}`, "containers[0].env[0].valueFrom.fieldRef.fieldPath"},
		"env file":                {`{"volumes":[{"name":"v"}],"containers":[{` + app + `,"env":[{"name":"A","valueFrom":{"fileKeyRef":{"volumeName":"v","path":"e","key":"K"}}}]}]}`, ""},
		"env file nowhere":        {`{"containers":[{` + app + `,"env":[{"name":"A","valueFrom":{"fileKeyRef":{"volumeName":"v","path":"../e","key":"="}}}]}]}`, "containers[0].env[0].valueFrom.fileKeyRef.key,containers[0].env[0].valueFrom.fileKeyRef.path,containers[0].env[0].valueFrom.fileKeyRef.volumeName"},
		"env hugepages":           {`{"containers":[{` + app + `,"env":[{"name":"A","valueFrom":{"resourceFieldRef":{"resource":"limits.hugepages-2Mi","divisor":"1Mi"}}}]}]}`, ""},
		"env from nothing":        {`{"containers":[{` + app + `,"envFrom":[{}]}]}`, "containers[0].envFrom"},
		"env from prefix":         {`{"containers":[{` + app + `,"envFrom":[{"prefix":"a=","secretRef":{"name":"s"}}]}]}`, "containers[0].envFrom[0].prefix"},
		"rules alone":             {`{"containers":[{` + app + `,"restartPolicyRules":[{"action":"Restart","exitCodes":{"operator":"In","values":[1]}}]}]}`, "containers[0].restartPolicy"},
		"rules":                   {`{"containers":[{` + app + `,"restartPolicy":"Never","restartPolicyRules":[{"action":"X"},{"action":"RestartAllContainers","exitCodes":{"operator":"NotIn","values":[0]}}]}]}`, "containers[0].restartPolicyRules[0].action,containers[0].restartPolicyRules[0].exitCodes"},
		"sleep long":              {`{"containers":[{` + app + `,"lifecycle":{"preStop":{"sleep":{"seconds":31}}}}]}`, "containers[0].lifecycle.preStop.sleep"},
		"sleep zero":              {`{"containers":[{` + app + `,"lifecycle":{"preStop":{"sleep":{"seconds":0}}}}]}`, ""},
		"sidecar":                 {`{"initContainers":[{"name":"s","image":"i","restartPolicy":"Always","livenessProbe":{"exec":{"command":["x"]}},"lifecycle":{"preStop":{"exec":{"command":["x"]}}}}]}`, ""},
		"init name taken":         {`{"initContainers":[{"name":"app","image":"i"}]}`, "initContainers[0].name"},
		"escalation":              {`{"containers":[{` + app + `,"securityContext":{"privileged":true,"allowPrivilegeEscalation":false}}]}`, "containers[0].securityContext"},
		"unmasked":                {`{"containers":[{` + app + `,"securityContext":{"procMount":"Unmasked"}}]}`, "containers[0].securityContext.procMount"},
		"unmasked in userns":      {`{"hostUsers":false,"containers":[{` + app + `,"securityContext":{"procMount":"Unmasked"}}]}`, ""},
		"device in userns":        {`{"hostUsers":false,"volumes":[{"name":"v","persistentVolumeClaim":{"claimName":"x"}}],"containers":[{` + app + `,"volumeDevices":[{"name":"v","devicePath":"/a"}]}]}`, "containers[0].volumeDevices"},
		"apparmor file":           {`{"securityContext":{"appArmorProfile":{"type":"Localhost","localhostProfile":" x"}}}`, "securityContext.appArmorProfile.localhostProfile"},
		"apparmor untyped":        {`{"securityContext":{"appArmorProfile":{}}}`, "securityContext.appArmorProfile.type"},
		"selinux policy":          {`{"securityContext":{"seLinuxChangePolicy":"X"}}`, "securityContext.seLinuxChangePolicy"},
		"sysctl host":             {`{"hostNetwork":true,"securityContext":{"sysctls":[{"name":"net.a","value":"1"}]}}`, "securityContext.sysctls[0].name"},
		"extended resource":       {`{"containers":[{` + app + `,"resources":{"limits":{"a.b/c":"1500m"}}}]}`, "containers[0].resources.limits[a.b/c],containers[0].resources.requests[a.b/c]"},
		"negative":                {`{"containers":[{` + app + `,"resources":{"requests":{"cpu":"-1"}}}]}`, "containers[0].resources.requests[cpu]"},
		"hugepages":               {`{"containers":[{` + app + `,"resources":{"limits":{"hugepages-2Mi":"3Mi","cpu":"1"}}}]}`, "containers[0].resources.limits[hugepages-2Mi],containers[0].resources.requests[hugepages-2Mi]"},
		"resize twice":            {`{"containers":[{` + app + `,"resizePolicy":[{"resourceName":"cpu","restartPolicy":"NotRequired"},{"resourceName":"cpu","restartPolicy":"NotRequired"}]}]}`, "containers[0].resizePolicy[1]"},
		"resize never":            {`{"restartPolicy":"Never","containers":[{` + app + `,"resizePolicy":[{"resourceName":"cpu","restartPolicy":"RestartContainer"}]}]}`, "containers[0].resizePolicy"},
		// What upstream says at a place or in a set of places that one would not guess.
		"spread key unqualified":     {`{"topologySpreadConstraints":[{"maxSkew":1,"topologyKey":"a b","whenUnsatisfiable":"DoNotSchedule"}]}`, ""},
		"mapped address":             {`{"dnsConfig":{"nameservers":["::ffff:1.2.3.4"]}}`, "dnsConfig.nameservers[0]"},
		"claim twice in part":        {`{"resourceClaims":[{"name":"a","resourceClaimName":"x"}],"containers":[{` + app + `,"resources":{"claims":[{"name":"a","request":"r"},{"name":"a"}]}}]}`, "containers[0].resources.claims[1]"},
		"claim twice as a whole":     {`{"resourceClaims":[{"name":"a","resourceClaimName":"x"}],"containers":[{` + app + `,"resources":{"claims":[{"name":"a"},{"name":"a","request":"R_"}]}}]}`, "containers[0].resources.claims[1]"},
		"claim unnamed":              {`{"containers":[{` + app + `,"resources":{"claims":[{"name":"","request":"R_"}]}}]}`, "containers[0].resources.claims[0]"},
		"init resize restarts":       {`{"initContainers":[{"name":"s","image":"i","resizePolicy":[{"resourceName":"cpu","restartPolicy":"RestartContainer"}]}]}`, "initContainers[0].resizePolicy[0].restartPolicy"},
		"sidecar resize restarts":    {`{"initContainers":[{"name":"s","image":"i","restartPolicy":"Always","resizePolicy":[{"resourceName":"cpu","restartPolicy":"RestartContainer"}]}]}`, ""},
		"own never, resize restarts": {`{"containers":[{` + app + `,"restartPolicy":"Never","resizePolicy":[{"resourceName":"cpu","restartPolicy":"RestartContainer"}]}]}`, ""},
		"init rules alone":           {`{"initContainers":[{"name":"s","image":"i","restartPolicyRules":[{"action":"X"}]}]}`, "initContainers[0].restartPolicy"},
		"seccomp file untyped":       {`{"securityContext":{"seccompProfile":{"localhostProfile":"x"}}}`, "securityContext.seccompProfile.localhostProfile,securityContext.seccompProfile.type"},
		"windows domain":             {`{"os":{"name":"windows"},"securityContext":{"windowsOptions":{"runAsUserName":"a_domain_of_many_characters\\u"}}}`, "securityContext.windowsOptions.runAsUserName"},
		"windows netbios domain":     {`{"os":{"name":"windows"},"securityContext":{"windowsOptions":{"runAsUserName":"my domain\\u"}}}`, ""},
		"claim of own making, used":  {`{"volumes":[{"name":"v","ephemeral":{"volumeClaimTemplate":{"spec":{"accessModes":["ReadWriteOnce"],"resources":{"requests":{"storage":"1"}}}}}},{"name":"w","persistentVolumeClaim":{"claimName":"p-v"}}],"containers":[{` + app + `,"volumeMounts":[{"name":"w","mountPath":"/w"}]}]}`, "volumes[1].persistentVolumeClaim.claimName"},
		"claim once per pod twice":   {`{"volumes":[{"name":"v","ephemeral":{"volumeClaimTemplate":{"spec":{"accessModes":["ReadWriteOncePod","ReadWriteOncePod"],"resources":{"requests":{"storage":"1"}}}}}}]}`, ""},
		"claim source elsewhere":     {`{"volumes":[{"name":"v","ephemeral":{"volumeClaimTemplate":{"spec":{"accessModes":["ReadWriteOnce"],"resources":{"requests":{"storage":"1"}},"dataSource":{"kind":"PersistentVolumeClaim","name":"x"},"dataSourceRef":{"kind":"PersistentVolumeClaim","name":"x","namespace":"A_"}}}}}]}`, "volumes[0].ephemeral.volumeClaimTemplate.spec,volumes[0].ephemeral.volumeClaimTemplate.spec.dataSourceRef.namespace"},
		"initiator":                  {`{"volumes":[{"name":"v","iscsi":{"targetPortal":"` + strings.Repeat("1", 63) + `","iqn":"iqn.2001-04.com.e:s","initiatorName":"iqn.2001-04.com.e:s"}}]}`, "volumes[0].name"},
		"gce disk":                   {`{"volumes":[{"name":"v","gcePersistentDisk":{"pdName":"","partition":256}}]}`, "volumes[0].persistentDisk.partition,volumes[0].persistentDisk.pdName"},
		"certificate of kubernetes":  {`{"volumes":[{"name":"v","projected":{"sources":[{"podCertificate":{"signerName":"x.kubernetes.io/s","keyType":"ED25519","keyPath":"k","maxExpirationSeconds":86401}}]}}]}`, "volumes[0].projected.sources[0].podCertificate.maxExpirationSeconds"},
		"certificate annotations":    {`{"volumes":[{"name":"v","projected":{"sources":[{"podCertificate":{"signerName":"a.b/s","keyType":"ED25519","keyPath":"k","userAnnotations":{"x":"y"}}}]}}]}`, "volumes[0].projected.sources[0].podCertificate.userAnnotations"},
		"file resource twice wrong":  {`{"volumes":[{"name":"v","downwardAPI":{"items":[{"path":"p","resourceFieldRef":{"resource":"limits.cpu","divisor":"3"}}]}}]}`, "volumes[0].downwardAPI.resourceFieldRef.containerName,volumes[0].downwardAPI.resourceFieldRef.divisor"},
		"env file of a bad volume":   {`{"volumes":[{"name":"v","emptyDir":{"sizeLimit":"-1"}}],"containers":[{` + app + `,"env":[{"name":"A","valueFrom":{"fileKeyRef":{"volumeName":"v","path":"e","key":"` + strings.Repeat("K", 129) + `"}}}]}]}`, "volumes[0].emptyDir.sizeLimit"},
		"env grace period":           {`{"containers":[{` + app + `,"env":[{"name":"A","valueFrom":{"fieldRef":{"fieldPath":"spec.terminationGracePeriodSeconds"}}}]}]}`, "containers[0].env[0].valueFrom.fieldRef.fieldPath"},
		"ephemeral":                  {`{"ephemeralContainers":[{"name":"e","image":"i"}]}`, "ephemeralContainers"},
	} {
		t.Run(name, func(t *testing.T) {
			errs := judged(pod(t, c.spec))
			if got := strings.Join(fieldsOf(errs), ","); got != c.want {
				t.Errorf("refused %q, want %q\n%v", got, c.want, errs.ToAggregate())
			}
		})
	}
}

// TestPodMetadataRules covers metadata that means something for Pods: the refused fields, with what the spec adds.
func TestPodMetadataRules(t *testing.T) {
	for name, c := range map[string]struct{ meta, spec, want string }{
		"finalizer":           {`{"finalizers":["mine"]}`, `{}`, "metadata.finalizers[0]"},
		"finalizers":          {`{"finalizers":["a.b/mine","orphan","kubernetes"]}`, `{}`, ""},
		"cost":                {`{"annotations":{"controller.kubernetes.io/pod-deletion-cost":"-5"}}`, `{}`, ""},
		"cost with zeros":     {`{"annotations":{"controller.kubernetes.io/pod-deletion-cost":"007"}}`, `{}`, "metadata.annotations[controller.kubernetes.io/pod-deletion-cost]"},
		"tolerations":         {`{"annotations":{"scheduler.alpha.kubernetes.io/tolerations":"[{\"key\":\"a\",\"effect\":\"X\"}]"}}`, `{}`, "metadata.annotations.scheduler.alpha.kubernetes.io/tolerations[0].effect"},
		"tolerations no JSON": {`{"annotations":{"scheduler.alpha.kubernetes.io/tolerations":"{"}}`, `{}`, "metadata.annotations"},
		"static, with claims": {`{"annotations":{"kubernetes.io/config.mirror":"x"}}`, `{"nodeName":"n","resourceClaims":[{"name":""},{"name":"A_"}]}`, "[]"},
		"apparmor and field":  {`{"annotations":{"container.apparmor.security.beta.kubernetes.io/app":"unconfined"}}`, `{"securityContext":{"appArmorProfile":{"type":"RuntimeDefault"}}}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			p := pod(t, c.spec)
			if err := json.Unmarshal([]byte(c.meta), &p.ObjectMeta); err != nil {
				t.Fatal(err)
			}
			errs := judged(p)
			if got := strings.Join(fieldsOf(errs), ","); got != c.want {
				t.Errorf("refused %q, want %q\n%v", got, c.want, errs.ToAggregate())
			}
			if static := strings.HasPrefix(name, "static"); static && len(errs) != 2 {
				t.Errorf("%d errors, want one for each claim: %v", len(errs), errs)
			}
		})
	}
}

// TestPodUpdateRules covers how a stored Pod may change.
func TestPodUpdateRules(t *testing.T) {
	const gated = `{"schedulingGates":[{"name":"a"},{"name":"b"}],"nodeSelector":{"k":"v"}}`
	for name, c := range map[string]struct{ before, after, want string }{
		"image":            {`{}`, `{"containers":[{"name":"app","image":"other"}]}`, ""},
		"image padded":     {`{}`, `{"containers":[{"name":"app","image":" other","imagePullPolicy":"Always"}]}`, "containers[0].image"},
		"deadline longer":  {`{"activeDeadlineSeconds":5}`, `{"activeDeadlineSeconds":6}`, "activeDeadlineSeconds"},
		"deadline gone":    {`{"activeDeadlineSeconds":5}`, `{}`, "activeDeadlineSeconds"},
		"toleration more":  {`{"tolerations":[{"key":"a","operator":"Exists"}]}`, `{"tolerations":[{"key":"a","operator":"Exists"},{"key":"b","operator":"Exists"}]}`, ""},
		"toleration less":  {`{"tolerations":[{"key":"a","operator":"Exists"}]}`, `{}`, "tolerations"},
		"gate gone":        {gated, `{"schedulingGates":[{"name":"a"}],"nodeSelector":{"k":"v","l":"w"}}`, ""},
		"gate new":         {gated, `{"schedulingGates":[{"name":"c"}],"nodeSelector":{"k":"v"}}`, "schedulingGates[0].name"},
		"gated wider":      {gated, `{"schedulingGates":[{"name":"a"}]}`, "nodeSelector"},
		"selector ungated": {`{}`, `{"nodeSelector":{"k":"v"}}`, "spec"},
		"gated affinity":   {gated, `{"nodeSelector":{"k":"v"},"affinity":{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[{"matchExpressions":[{"key":"x","operator":"Exists"}]}]}}}}`, ""},
		"gated, from any node": {`{"schedulingGates":[{"name":"a"}],"affinity":{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[{}]}}}}`,
			`{"affinity":{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[{"matchExpressions":[{"key":"x","operator":"Exists"}]}]}}}}`,
			"affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0]"},
		"deadline longer, and more": {`{"activeDeadlineSeconds":5}`, `{"activeDeadlineSeconds":6,"hostname":"h"}`, "activeDeadlineSeconds"},
		"container removed":         {`{"containers":[{"name":"a","image":"i"},{"name":"b","image":"i"}]}`, `{"containers":[{"name":"a","image":"i"}]}`, "containers"},
	} {
		t.Run(name, func(t *testing.T) {
			before, after := pod(t, c.before), pod(t, c.after)
			for _, p := range []*corev1.Pod{before, after} {
				p.UID, p.ResourceVersion = "u", "1"
				defaults.SetPod(p)
			}
			errs := validation.PodUpdate(after, before)
			if got := strings.Join(fieldsOf(errs), ","); got != c.want {
				t.Errorf("refused %q, want %q\n%v", got, c.want, errs.ToAggregate())
			}
		})
	}
}

// TestPodResizeRules covers pods/resize.
func TestPodResizeRules(t *testing.T) {
	with := func(resources string) string {
		return `{"containers":[{"name":"app","image":"i","resources":` + resources + `}]}`
	}
	for name, c := range map[string]struct{ before, after, want string }{
		"more":         {with(`{"requests":{"cpu":"1"}}`), with(`{"requests":{"cpu":"2"}}`), ""},
		"add limit":    {with(`{"requests":{"cpu":"1"}}`), with(`{"requests":{"cpu":"1"},"limits":{"cpu":"3"}}`), ""},
		"removed":      {with(`{"requests":{"cpu":"1","memory":"1"}}`), with(`{"requests":{"cpu":"1"}}`), "containers[0].resources.requests"},
		"class":        {with(`{}`), with(`{"requests":{"cpu":"1"}}`), "spec"},
		"storage gone": {with(`{"requests":{"ephemeral-storage":"1"}}`), with(`{}`), "containers[0].resources.requests,spec"},
		"storage":      {with(`{"requests":{"cpu":"1"}}`), with(`{"requests":{"cpu":"1","ephemeral-storage":"1"}}`), "spec"},
		"other field":  {with(`{"requests":{"cpu":"1"}}`), `{"hostname":"h","containers":[{"name":"app","image":"i","resources":{"requests":{"cpu":"1"}}}]}`, "spec"},
		"renamed":      {with(`{}`), `{"containers":[{"name":"b","image":"i"}]}`, "containers[0].name"},
	} {
		t.Run(name, func(t *testing.T) {
			before, after := pod(t, c.before), pod(t, c.after)
			for _, p := range []*corev1.Pod{before, after} {
				p.UID, p.ResourceVersion = "u", "1"
				defaults.SetPod(p)
			}
			errs := validation.PodResize(after, before)
			if got := strings.Join(fieldsOf(errs), ","); got != c.want {
				t.Errorf("refused %q, want %q\n%v", got, c.want, errs.ToAggregate())
			}
		})
	}
}

// TestDerived covers what a creation adds to a Pod's own words.
func TestDerived(t *testing.T) {
	p := pod(t, `{"schedulingGates":[{"name":"g"}],"topologySpreadConstraints":[{"maxSkew":1,"topologyKey":"z","whenUnsatisfiable":"DoNotSchedule","labelSelector":{},"matchLabelKeys":["a","b"]}],"securityContext":{"appArmorProfile":{"type":"Unconfined"}}}`)
	p.Labels = map[string]string{"a": "1"}
	if errs := judged(p); len(errs) > 0 {
		t.Fatal(errs)
	}
	if e := p.Spec.TopologySpreadConstraints[0].LabelSelector.MatchExpressions; len(e) != 1 || e[0].Key != "a" || e[0].Values[0] != "1" {
		t.Errorf("expressions %v", e)
	}
	if len(p.Annotations) > 0 {
		t.Errorf("annotations %q: nodes of today read the field", p.Annotations)
	}
	if len(p.Status.Conditions) != 1 || p.Status.Conditions[0].Reason != "SchedulingGated" {
		t.Errorf("conditions %v", p.Status.Conditions)
	}
}

// FuzzPod wants no Pod to make defaults or rules panic, defaults to be idempotent, and no update of a Pod by itself to
// be refused for having changed.
func FuzzPod(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"spec":{"containers":[{"name":"a","image":"b","resources":{"limits":{"cpu":"1","hugepages-":"1"}}}],"resources":{"limits":{"cpu":"1"}}}}`,
		`{"metadata":{"annotations":{"container.apparmor.security.beta.kubernetes.io/a":"localhost/"}},"spec":{"volumes":[{"projected":{"sources":[{}]}}],"affinity":{"podAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":[{"matchLabelKeys":["a"],"labelSelector":{}}]}}}}`,
		`{"spec":{"ephemeralContainers":[{"ports":[],"env":[{"valueFrom":{"fieldRef":{"fieldPath":"a['"}}}]}],"os":{"name":"windows"},"schedulingGates":[{}]}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		p := &corev1.Pod{}
		if json.Unmarshal(body, p) != nil {
			return
		}
		defaults.SetPod(p)
		once, _ := json.Marshal(p)
		defaults.SetPod(p)
		if twice, _ := json.Marshal(p); string(once) != string(twice) {
			t.Fatalf("defaults are not idempotent:\n%s\n%s", once, twice)
		}
		validation.DropDisabledPodFields(p, nil)
		_ = validation.PodCreate(p)
		_ = validation.PodWarnings(p)
		old := p.DeepCopy()
		for _, errs := range []field.ErrorList{
			validation.PodUpdate(p, old), validation.PodEphemeralContainersUpdate(p, old),
			validation.PodResize(p, old), validation.PodStatusUpdate(p, old),
		} {
			for _, e := range errs {
				if e.Type == field.ErrorTypeForbidden && e.Field == "spec" && strings.HasPrefix(e.Detail, "pod updates") {
					t.Fatalf("an update without a change: %v", e)
				}
			}
		}
	})
}

// unique sorts and leaves each once.
func unique(list []string) []string {
	slices.Sort(list)
	return slices.Compact(list)
}
