package compile

import (
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// attr is what mount_setattr changes.
type attr struct{ set, clear, propagation uint64 }

func (a attr) empty() bool { return a == attr{} }

// mountOptions are the parsed options of a mount.
type mountOptions struct {
	bind, recursive bool
	flags           int // MS_* for mount(2)
	attr, recAttr   attr
	propagation     attr
	propagationRec  bool
	data            []string
	// idmap and ridmap show a bind mount with the container's users.
	idmap, ridmap bool
}

// flagOption is an option that has a flag in mount(2) and an attribute in mount_setattr(2).
type flagOption struct {
	flag  int
	set   uint64
	clear uint64
}

var flagOptions = map[string]flagOption{
	"ro": {flag: unix.MS_RDONLY, set: unix.MOUNT_ATTR_RDONLY}, "rw": {clear: unix.MOUNT_ATTR_RDONLY},
	"nosuid": {flag: unix.MS_NOSUID, set: unix.MOUNT_ATTR_NOSUID}, "suid": {clear: unix.MOUNT_ATTR_NOSUID},
	"nodev": {flag: unix.MS_NODEV, set: unix.MOUNT_ATTR_NODEV}, "dev": {clear: unix.MOUNT_ATTR_NODEV},
	"noexec": {flag: unix.MS_NOEXEC, set: unix.MOUNT_ATTR_NOEXEC}, "exec": {clear: unix.MOUNT_ATTR_NOEXEC},
	"nodiratime": {flag: unix.MS_NODIRATIME, set: unix.MOUNT_ATTR_NODIRATIME}, "diratime": {clear: unix.MOUNT_ATTR_NODIRATIME},
	"nosymfollow": {flag: unix.MS_NOSYMFOLLOW, set: unix.MOUNT_ATTR_NOSYMFOLLOW}, "symfollow": {clear: unix.MOUNT_ATTR_NOSYMFOLLOW},
	"noatime":     {flag: unix.MS_NOATIME, set: unix.MOUNT_ATTR_NOATIME, clear: unix.MOUNT_ATTR__ATIME},
	"relatime":    {flag: unix.MS_RELATIME, clear: unix.MOUNT_ATTR__ATIME},
	"strictatime": {flag: unix.MS_STRICTATIME, set: unix.MOUNT_ATTR_STRICTATIME, clear: unix.MOUNT_ATTR__ATIME},
	"atime":       {}, "defaults": {}, "async": {}, "norelatime": {}, "nostrictatime": {}, "loud": {},
	"sync": {flag: unix.MS_SYNCHRONOUS}, "dirsync": {flag: unix.MS_DIRSYNC}, "silent": {flag: unix.MS_SILENT},
	"mand": {flag: unix.MS_MANDLOCK}, "nomand": {}, "iversion": {flag: unix.MS_I_VERSION}, "noiversion": {},
	"lazytime": {flag: unix.MS_LAZYTIME}, "nolazytime": {}, "remount": {},
}

type propagation struct {
	propagation uint64
	recursive   bool
}

var propagations = map[string]propagation{
	"private": {unix.MS_PRIVATE, false}, "rprivate": {unix.MS_PRIVATE, true},
	"slave": {unix.MS_SLAVE, false}, "rslave": {unix.MS_SLAVE, true},
	"shared": {unix.MS_SHARED, false}, "rshared": {unix.MS_SHARED, true},
	"unbindable": {unix.MS_UNBINDABLE, false}, "runbindable": {unix.MS_UNBINDABLE, true},
}

// parse sorts a mount's options; what is none of the known goes to the file system.
func parse(m specs.Mount) mountOptions {
	o := mountOptions{bind: m.Type == "bind"}
	for _, opt := range m.Options {
		switch {
		case opt == "bind":
			o.bind = true
		case opt == "rbind":
			o.bind, o.recursive = true, true
		case opt == "idmap":
			o.idmap = true
		case opt == "ridmap":
			o.ridmap = true
		case o.addFlag(opt):
		case o.addPropagation(opt):
		default:
			o.data = append(o.data, opt)
		}
	}
	return o
}

func (o *mountOptions) addFlag(opt string) bool {
	if f, ok := flagOptions[opt]; ok {
		o.flags |= f.flag
		o.attr.set |= f.set
		o.attr.clear |= f.clear
		return true
	}
	rec, ok := strings.CutPrefix(opt, "r")
	if f, known := flagOptions[rec]; ok && known && (f.set|f.clear) != 0 { // rro, rnosuid, …
		o.recAttr.set |= f.set
		o.recAttr.clear |= f.clear
		return true
	}
	return false
}

func (o *mountOptions) addPropagation(opt string) bool {
	p, ok := propagations[opt]
	if ok {
		o.propagation.propagation, o.propagationRec = p.propagation, p.recursive
	}
	return ok
}
