package systemd

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/coreos/go-systemd/v22/dbus"
	bus "github.com/godbus/dbus/v5"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/mayfly-run/mayfly/internal/launch/cgroup"
)

// LimitSlice starts a slice, unless it is there, and limits it, so that systemd does not undo what is written to its cgroup.
// It knows CPU, memory and tasks alone.
func (m *Manager) LimitSlice(ctx context.Context, name string, unified bool, r *specs.LinuxResources) error {
	limits := properties(unified, r)
	start := append([]dbus.Property{dbus.PropDescription("Mayfly's Pods"), {Name: "DefaultDependencies", Value: bus.MakeVariant(false)}}, limits...)
	err := m.job(ctx, func(c *dbus.Conn, done chan<- string) error {
		_, err := c.StartTransientUnitContext(ctx, name, ifNoJob, start, done)
		var refused bus.Error
		if errors.As(err, &refused) && refused.Name == "org.freedesktop.systemd1.UnitExists" {
			done <- "done"
			return c.SetUnitPropertiesContext(ctx, name, true, limits...)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("have systemd limit %s: %w", name, err)
	}
	return nil
}

// properties says limits as systemd.resource-control(5) does.
func properties(unified bool, r *specs.LinuxResources) []dbus.Property {
	var out []dbus.Property
	add := func(name string, value uint64) {
		out = append(out, dbus.Property{Name: name, Value: bus.MakeVariant(value)})
	}
	shares, memory := "CPUShares", "MemoryLimit"
	if unified {
		shares, memory = "CPUWeight", "MemoryMax"
	}
	if c := r.CPU; c != nil {
		if c.Shares != nil {
			value := *c.Shares
			if unified {
				value = cgroup.Weight(value)
			}
			add(shares, value)
		}
		if c.Quota != nil && c.Period != nil && *c.Period > 0 {
			perSecond := uint64(math.MaxUint64)
			if *c.Quota > 0 {
				perSecond = uint64(*c.Quota) * 1_000_000 / *c.Period
			}
			add("CPUQuotaPerSecUSec", perSecond)
		}
	}
	if r.Memory != nil && r.Memory.Limit != nil {
		add(memory, uint64(*r.Memory.Limit))
	}
	if r.Pids != nil && r.Pids.Limit != nil {
		add("TasksMax", uint64(*r.Pids.Limit))
	}
	return out
}
