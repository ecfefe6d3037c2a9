// Package userns gives each Pod with a user namespace of its own (hostUsers: false) a range of the host's user and group
// IDs, as the kubelet does: 65536 IDs each, the first range after those of the host's own users, none twice.
//
// A Pod's range is kept in its directory, in the kubelet's file and format, for its containers outlive the agent.
package userns

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"k8s.io/apimachinery/pkg/types"
)

const (
	// Length is the size of a range.
	Length = 65536
	// first is the number of the first range, of Length each: what is below belongs to the host.
	first = 1
	// end is the number after the last range: (uid_t)-1 is nobody's ID.
	end = 1<<32/Length - 1
	// name of the file in a Pod's directory.
	name = "userns"
)

// Ranges knows who has which range.
type Ranges struct {
	dir func(types.UID) string

	mu    sync.Mutex
	of    map[types.UID]uint32 // by Pod, the number of its range
	taken map[uint32]types.UID
}

// New returns the Ranges of Pods that have their directories where dir says, with those that the known Pods were given
// by an agent before this one.
func New(dir func(types.UID) string, known []types.UID) (*Ranges, error) {
	r := &Ranges{dir: dir, of: map[types.UID]uint32{}, taken: map[uint32]types.UID{}}
	var errs []error
	for _, uid := range known {
		number, err := r.read(uid)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			errs = append(errs, err)
		case r.taken[number] != "":
			errs = append(errs, fmt.Errorf("pods %s and %s have the same user IDs on the host", uid, r.taken[number]))
		default:
			r.of[uid], r.taken[number] = number, uid
		}
	}
	return r, errors.Join(errs...)
}

// Of returns the first of the Pod's IDs on the host. The Pod gets the lowest free range if it has none.
func (r *Ranges) Of(uid types.UID) (uint32, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if number, ok := r.of[uid]; ok {
		return number * Length, nil
	}
	for number := uint32(first); number < end; number++ {
		if r.taken[number] != "" {
			continue
		}
		if err := r.write(uid, number); err != nil {
			return 0, err
		}
		r.of[uid], r.taken[number] = number, uid
		return number * Length, nil
	}
	return 0, errors.New("no range of user IDs is free")
}

// Release gives back the range of a Pod that is no longer.
func (r *Ranges) Release(uid types.UID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if number, ok := r.of[uid]; ok {
		delete(r.of, uid)
		delete(r.taken, number)
	}
}

// file is the kubelet's.
type file struct {
	UIDMappings []mapping `json:"uidMappings"`
	GIDMappings []mapping `json:"gidMappings"`
}

type mapping struct {
	HostID      uint32 `json:"hostId"`
	ContainerID uint32 `json:"containerId"`
	Length      uint32 `json:"length"`
}

func (r *Ranges) read(uid types.UID) (number uint32, err error) {
	path := filepath.Join(r.dir(uid), name)
	content, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	var f file
	if err := json.Unmarshal(content, &f); err != nil {
		return 0, fmt.Errorf("read %s: %w", path, err)
	}
	if len(f.UIDMappings) != 1 || f.UIDMappings[0].ContainerID != 0 || f.UIDMappings[0].Length != Length || f.UIDMappings[0].HostID%Length != 0 || f.UIDMappings[0].HostID == 0 {
		return 0, fmt.Errorf("read %s: not one range of %d IDs", path, Length)
	}
	return f.UIDMappings[0].HostID / Length, nil
}

func (r *Ranges) write(uid types.UID, number uint32) error {
	one := []mapping{{HostID: number * Length, Length: Length}}
	content, err := json.Marshal(file{UIDMappings: one, GIDMappings: one})
	if err != nil {
		return fmt.Errorf("encode user IDs: %w", err)
	}
	if err := os.MkdirAll(r.dir(uid), 0o750); err != nil {
		return fmt.Errorf("make pod directory: %w", err)
	}
	path := filepath.Join(r.dir(uid), name)
	if err := os.WriteFile(path+".new", content, 0o600); err != nil {
		return fmt.Errorf("write user IDs: %w", err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("write user IDs: %w", err)
	}
	return nil
}
