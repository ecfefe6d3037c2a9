package systemd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// socketPath is where systemd answers root without a bus between.
const socketPath = "/run/systemd/private"

// Manager is systemd, the first process of the machine.
type Manager struct{ path string }

// Open finds systemd.
func Open() (*Manager, error) {
	if _, err := os.Stat(socketPath); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("cgroups by systemd: it is not this machine's first process, or does not let us see %s: use the driver cgroupfs", socketPath)
		}
		return nil, fmt.Errorf("find systemd: %w", err)
	}
	return &Manager{path: socketPath}, nil
}

// Scope is a unit of processes that somebody else started.
type Scope struct {
	// Name ends in .scope, Slice, in which it is made, in .slice.
	Name, Slice, Description string
	// PID is its first process, which moves there. The scope ends with its last.
	PID int
}

// StartScope makes a scope, with all controllers, below which cgroups are the caller's; and the slices that lead to it.
func (m *Manager) StartScope(ctx context.Context, s Scope) error {
	body := &encoder{}
	body.text(s.Name)
	body.text("fail") // rather than replace a job of the same name
	body.array(8, func() {
		body.property("Description", "s", func() { body.text(s.Description) })
		body.property("Slice", "s", func() { body.text(s.Slice) })
		body.property("PIDs", "au", func() { body.array(4, func() { body.uint32(uint32(s.PID)) }) })
		body.property("Delegate", "b", func() { body.uint32(1) })
		// Otherwise a machine that shuts down ends it before whoever asked for it.
		body.property("DefaultDependencies", "b", func() { body.uint32(0) })
		body.property("CollectMode", "s", func() { body.text("inactive-or-failed") })
	})
	body.array(8, func() {}) // no other units
	if err := m.job(ctx, "StartTransientUnit", "ssa(sv)a(sa(sv))", body); err != nil {
		return fmt.Errorf("have systemd start %s in %s: %w", s.Name, s.Slice, err)
	}
	return nil
}

// Stop stops a unit and all in it. One that systemd does not know is no error.
func (m *Manager) Stop(ctx context.Context, unit string) error {
	body := &encoder{}
	body.text(unit)
	body.text("fail")
	err := m.job(ctx, "StopUnit", "ss", body)
	var failed *callError
	if errors.As(err, &failed) && failed.name == "org.freedesktop.systemd1.NoSuchUnit" {
		return nil
	}
	if err != nil {
		return fmt.Errorf("have systemd stop %s: %w", unit, err)
	}
	return nil
}

// job calls a method that answers with a job, and waits until that is done.
func (m *Manager) job(ctx context.Context, method, signature string, body *encoder) error {
	c, err := dial(ctx, m.path)
	if err != nil {
		return err
	}
	defer c.close()
	reply, err := c.call(method, signature, body)
	if err != nil {
		return c.explain(err)
	}
	job, err := reply.body.text()
	if err != nil {
		return err
	}
	for {
		signal, err := c.receive()
		if err != nil {
			return c.explain(fmt.Errorf("wait for job %s: %w", job, err))
		}
		if signal.member != "JobRemoved" {
			continue
		}
		done, result, err := signal.jobRemoved()
		if err != nil {
			return err
		}
		if done != job {
			continue
		}
		if result != "done" {
			return fmt.Errorf("job ended as %q; `systemctl status` and the journal say why", result)
		}
		return nil
	}
}
