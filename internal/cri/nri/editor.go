package nri

import (
	"slices"
	"strings"

	"github.com/containerd/nri/pkg/runtime-tools/generate"
	"github.com/opencontainers/runtime-spec/specs-go"
)

// editor makes the single changes to a specification that an adjustment consists of. The specification has a process and
// resources.
type editor struct{ spec *specs.Spec }

var _ generate.UnderlyingGenerator = editor{}

func (e editor) Spec() *specs.Spec                { return e.spec }
func (e editor) resources() *specs.LinuxResources { return e.spec.Linux.Resources }

func (e editor) cpu() *specs.LinuxCPU {
	if e.resources().CPU == nil {
		e.resources().CPU = &specs.LinuxCPU{}
	}
	return e.resources().CPU
}

func (e editor) memory() *specs.LinuxMemory {
	if e.resources().Memory == nil {
		e.resources().Memory = &specs.LinuxMemory{}
	}
	return e.resources().Memory
}

func (e editor) SetProcessArgs(args []string)     { e.spec.Process.Args = args }
func (e editor) SetProcessOOMScoreAdj(adj int)    { e.spec.Process.OOMScoreAdj = &adj }
func (e editor) SetLinuxCgroupsPath(path string)  { e.spec.Linux.CgroupsPath = path }
func (e editor) AddAnnotation(key, value string)  { set(&e.spec.Annotations, key, value) }
func (e editor) RemoveAnnotation(key string)      { delete(e.spec.Annotations, key) }
func (e editor) AddLinuxSysctl(key, value string) { set(&e.spec.Linux.Sysctl, key, value) }
func (e editor) RemoveLinuxSysctl(key string)     { delete(e.spec.Linux.Sysctl, key) }

func (e editor) SetLinuxRootPropagation(propagation string) error {
	e.spec.Linux.RootfsPropagation = propagation
	return nil
}

func (e editor) ClearProcessEnv() { e.spec.Process.Env = nil }

func (e editor) AddProcessEnv(name, value string) {
	has := func(pair string) bool { return strings.HasPrefix(pair, name+"=") }
	replace(&e.spec.Process.Env, has, name+"="+value)
}

func (e editor) Mounts() []specs.Mount      { return e.spec.Mounts }
func (e editor) ClearMounts()               { e.spec.Mounts = nil }
func (e editor) AddMount(mount specs.Mount) { e.spec.Mounts = append(e.spec.Mounts, mount) }

func (e editor) RemoveMount(destination string) {
	e.spec.Mounts = slices.DeleteFunc(e.spec.Mounts, func(m specs.Mount) bool { return m.Destination == destination })
}

func (e editor) AddDevice(device specs.LinuxDevice) {
	replace(&e.spec.Linux.Devices, func(d specs.LinuxDevice) bool { return d.Path == device.Path }, device)
}

func (e editor) RemoveDevice(path string) {
	e.spec.Linux.Devices = slices.DeleteFunc(e.spec.Linux.Devices, func(d specs.LinuxDevice) bool { return d.Path == path })
}

func (e editor) AddOrReplaceLinuxNamespace(kind, path string) error {
	ns := specs.LinuxNamespace{Type: specs.LinuxNamespaceType(kind), Path: path}
	replace(&e.spec.Linux.Namespaces, func(n specs.LinuxNamespace) bool { return n.Type == ns.Type }, ns)
	return nil
}

func (e editor) RemoveLinuxNamespace(kind string) error {
	e.spec.Linux.Namespaces = slices.DeleteFunc(e.spec.Linux.Namespaces, func(n specs.LinuxNamespace) bool { return string(n.Type) == kind })
	return nil
}

func (e editor) hooks() *specs.Hooks {
	if e.spec.Hooks == nil {
		e.spec.Hooks = &specs.Hooks{}
	}
	return e.spec.Hooks
}

func (e editor) AddPreStartHook(h specs.Hook) {
	hooks := e.hooks()
	hooks.Prestart = append(hooks.Prestart, h) //nolint:staticcheck // deprecated, and still asked for
}

func (e editor) AddPostStartHook(h specs.Hook) { e.hooks().Poststart = append(e.hooks().Poststart, h) }
func (e editor) AddPostStopHook(h specs.Hook)  { e.hooks().Poststop = append(e.hooks().Poststop, h) }

func (e editor) SetLinuxResourcesCPUCpus(cpus string)             { e.cpu().Cpus = cpus }
func (e editor) SetLinuxResourcesCPUMems(mems string)             { e.cpu().Mems = mems }
func (e editor) SetLinuxResourcesCPUPeriod(period uint64)         { e.cpu().Period = &period }
func (e editor) SetLinuxResourcesCPUQuota(quota int64)            { e.cpu().Quota = &quota }
func (e editor) SetLinuxResourcesCPURealtimePeriod(period uint64) { e.cpu().RealtimePeriod = &period }
func (e editor) SetLinuxResourcesCPURealtimeRuntime(time int64)   { e.cpu().RealtimeRuntime = &time }
func (e editor) SetLinuxResourcesCPUShares(shares uint64)         { e.cpu().Shares = &shares }
func (e editor) SetLinuxResourcesMemoryLimit(limit int64)         { e.memory().Limit = &limit }
func (e editor) SetLinuxResourcesMemorySwap(swap int64)           { e.memory().Swap = &swap }
func (e editor) AddLinuxResourcesUnified(key, value string)       { set(&e.resources().Unified, key, value) }

func (e editor) AddLinuxResourcesHugepageLimit(size string, limit uint64) {
	replace(&e.resources().HugepageLimits, func(l specs.LinuxHugepageLimit) bool { return l.Pagesize == size }, specs.LinuxHugepageLimit{Pagesize: size, Limit: limit})
}

func (e editor) AddLinuxResourcesDevice(allow bool, kind string, major, minor *int64, access string) {
	rule := specs.LinuxDeviceCgroup{Allow: allow, Type: kind, Major: major, Minor: minor, Access: access}
	e.resources().Devices = append(e.resources().Devices, rule)
}

func set(m *map[string]string, key, value string) {
	if *m == nil {
		*m = map[string]string{}
	}
	(*m)[key] = value
}

// replace puts value in the place of the one that it is to replace, or at the end.
func replace[T any](list *[]T, old func(T) bool, value T) {
	if i := slices.IndexFunc(*list, old); i >= 0 {
		(*list)[i] = value
		return
	}
	*list = append(*list, value)
}
