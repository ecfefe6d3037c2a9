package systemd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/coreos/go-systemd/v22/dbus"
	bus "github.com/godbus/dbus/v5"
)

// socketPath is where systemd answers root without a bus between.
const socketPath = "/run/systemd/private"

// Manager is systemd, the first process of the machine.
type Manager struct{}

// Open finds systemd.
func Open() (*Manager, error) {
	if _, err := os.Stat(socketPath); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("cgroups by systemd: it is not this machine's first process, or does not let us see %s: use the driver cgroupfs", socketPath)
		}
		return nil, fmt.Errorf("find systemd: %w", err)
	}
	return &Manager{}, nil
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
	properties := []dbus.Property{
		dbus.PropDescription(s.Description), dbus.PropSlice(s.Slice), dbus.PropPids(uint32(s.PID)),
		{Name: "Delegate", Value: bus.MakeVariant(true)},
		// Otherwise a machine that shuts down ends it before whoever asked for it.
		{Name: "DefaultDependencies", Value: bus.MakeVariant(false)},
		{Name: "CollectMode", Value: bus.MakeVariant("inactive-or-failed")},
	}
	err := m.job(ctx, func(c *dbus.Conn, done chan<- string) error {
		_, err := c.StartTransientUnitContext(ctx, s.Name, ifNoJob, properties, done)
		return err
	})
	if err != nil {
		return fmt.Errorf("have systemd start %s in %s: %w", s.Name, s.Slice, err)
	}
	return nil
}

// ifNoJob has systemd refuse rather than replace a job of the same unit.
const ifNoJob = "fail"

// Stop stops a unit and all in it. One that systemd does not know is no error.
func (m *Manager) Stop(ctx context.Context, unit string) error {
	err := m.job(ctx, func(c *dbus.Conn, done chan<- string) error {
		_, err := c.StopUnitContext(ctx, unit, ifNoJob, done)
		return err
	})
	var refused bus.Error
	if errors.As(err, &refused) && refused.Name == "org.freedesktop.systemd1.NoSuchUnit" {
		return nil
	}
	if err != nil {
		return fmt.Errorf("have systemd stop %s: %w", unit, err)
	}
	return nil
}

// job starts one and waits until it is done.
func (m *Manager) job(ctx context.Context, start func(c *dbus.Conn, done chan<- string) error) error {
	c, err := dbus.NewSystemdConnectionContext(ctx)
	if err != nil {
		return fmt.Errorf("connect to %s: %w", socketPath, err)
	}
	defer c.Close()
	done := make(chan string, 1)
	if err := start(c, done); err != nil {
		return err
	}
	select {
	case result := <-done:
		if result != "done" {
			return fmt.Errorf("job ended as %q; `systemctl status` and the journal say why", result)
		}
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
