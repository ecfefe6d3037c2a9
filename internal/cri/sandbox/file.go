package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"
)

const shmSize = "65536k"

// Files are the host paths of what every container of a sandbox sees; Shm is empty when the host's is shared.
type Files struct{ ResolvConf, Hostname, Hosts, Shm string }

// MakeFiles writes hostname, hosts and resolv.conf into dir, which is made.
func MakeFiles(dir, hostname string, dns *runtimev1.DNSConfig) (Files, error) {
	files := filesIn(dir)
	if err := os.MkdirAll(dir, 0o711); err != nil {
		return Files{}, fmt.Errorf("make sandbox directory: %w", err)
	}
	resolv, err := resolvConf(dns)
	if err != nil {
		return Files{}, err
	}
	hosts, err := os.ReadFile("/etc/hosts")
	if errors.Is(err, fs.ErrNotExist) {
		hosts, err = []byte("127.0.0.1\tlocalhost\n::1\tlocalhost\n"), nil
	}
	if err != nil {
		return Files{}, fmt.Errorf("read the host's hosts: %w", err)
	}
	for path, content := range map[string][]byte{files.ResolvConf: resolv, files.Hostname: []byte(hostname + "\n"), files.Hosts: hosts} {
		if err := os.WriteFile(path, content, 0o644); err != nil {
			return Files{}, fmt.Errorf("write sandbox file: %w", err)
		}
	}
	return files, nil
}

func filesIn(dir string) Files {
	return Files{
		ResolvConf: filepath.Join(dir, "resolv.conf"),
		Hostname:   filepath.Join(dir, "hostname"),
		Hosts:      filepath.Join(dir, "hosts"),
	}
}

// FilesOf returns the paths of a sandbox that was made before.
func (n *Namespaces) FilesOf(id, dir string, ownIPC bool) Files {
	files := filesIn(dir)
	files.Shm = "/dev/shm"
	if ownIPC {
		files.Shm = n.shm(id)
	}
	return files
}

// resolvConf is the host's unless the client says something.
func resolvConf(dns *runtimev1.DNSConfig) ([]byte, error) {
	if len(dns.GetServers()) == 0 && len(dns.GetSearches()) == 0 && len(dns.GetOptions()) == 0 {
		content, err := os.ReadFile("/etc/resolv.conf")
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read the host's resolv.conf: %w", err)
		}
		return content, nil
	}
	var b strings.Builder
	if len(dns.GetSearches()) > 0 {
		fmt.Fprintf(&b, "search %s\n", strings.Join(dns.GetSearches(), " "))
	}
	for _, server := range dns.GetServers() {
		fmt.Fprintf(&b, "nameserver %s\n", server)
	}
	if len(dns.GetOptions()) > 0 {
		fmt.Fprintf(&b, "options %s\n", strings.Join(dns.GetOptions(), " "))
	}
	return []byte(b.String()), nil
}

func (n *Namespaces) shm(id string) string { return filepath.Join(n.run, "shm", id) }

// MakeShm mounts the tmpfs behind /dev/shm, which is the Pod's root's. After an error nothing is left.
func (n *Namespaces) MakeShm(id string, users *Users) error {
	path := n.shm(id)
	if err := os.Mkdir(path, 0o1777); err != nil {
		return fmt.Errorf("make shm directory: %w", err)
	}
	options := "mode=1777,size=" + shmSize
	if users != nil {
		uid, gid := users.root()
		options += fmt.Sprintf(",uid=%d,gid=%d", uid, gid)
	}
	if err := unix.Mount("shm", path, "tmpfs", unix.MS_NOEXEC|unix.MS_NOSUID|unix.MS_NODEV, options); err != nil {
		return errors.Join(fmt.Errorf("mount shm %s: %w", path, err), os.Remove(path))
	}
	return nil
}

// RemoveShm unmounts and removes it, if it is there.
func (n *Namespaces) RemoveShm(id string) error {
	path := n.shm(id)
	if err := unbind(path); err != nil {
		return err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove shm: %w", err)
	}
	return nil
}

// Known lists the sandboxes of which anything is left below the run directory.
func (n *Namespaces) Known() ([]string, error) {
	seen := map[string]bool{}
	var ids []string
	for _, dir := range []string{"netns", "ns", "shm"} {
		entries, err := os.ReadDir(filepath.Join(n.run, dir))
		if err != nil {
			return nil, fmt.Errorf("list namespaces: %w", err)
		}
		for _, entry := range entries {
			id := strings.TrimSuffix(entry.Name(), filepath.Ext(entry.Name()))
			if !seen[id] {
				seen[id] = true
				ids = append(ids, id)
			}
		}
	}
	return ids, nil
}
