package spec

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/moby/sys/user"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// identity is whom a process runs as, resolved.
type identity struct {
	uid, gid uint32
	groups   []uint32
	home     string
}

func (i identity) proto() *runtimev1.LinuxContainerUser {
	groups := make([]int64, len(i.groups))
	for n, g := range i.groups {
		groups[n] = int64(g)
	}
	return &runtimev1.LinuxContainerUser{Uid: int64(i.uid), Gid: int64(i.gid), SupplementalGroups: groups}
}

// resolveUser applies the CRI's order: run_as_user, run_as_username, then the image's USER (name or number, with an
// optional :group). A number needs no entry in passwd; a name does.
func resolveUser(in *Input) (identity, error) {
	sc := in.security()
	who, group, _ := strings.Cut(in.Image.User, ":")
	switch {
	case sc.GetRunAsUser() != nil && sc.GetRunAsUsername() != "":
		return identity{}, fmt.Errorf("run_as_user and run_as_username are both set: %w", errdefs.ErrInvalidArgument)
	case sc.GetRunAsUser() != nil:
		who, group = strconv.FormatInt(sc.GetRunAsUser().GetValue(), 10), ""
	case sc.GetRunAsUsername() != "":
		who, group = sc.GetRunAsUsername(), ""
	case sc.GetRunAsGroup() != nil:
		return identity{}, fmt.Errorf("run_as_group is set without run_as_user or run_as_username: %w", errdefs.ErrInvalidArgument)
	}
	if sc.GetRunAsGroup() != nil {
		group = strconv.FormatInt(sc.GetRunAsGroup().GetValue(), 10)
	}
	id, name, err := findUser(in.Accounts.Passwd, who)
	if err != nil {
		return identity{}, err
	}
	if group != "" {
		if id.gid, err = findGroup(in.Accounts.Group, group); err != nil {
			return identity{}, err
		}
	}
	id.groups, err = supplemental(in, id, name)
	return id, err
}

// findUser returns the identity and the name of who, a name or a number; empty is root.
func findUser(passwd []byte, who string) (identity, string, error) {
	number, err := parseID(who)
	numeric := err == nil
	if who == "" {
		number, numeric = 0, true
	}
	entries, err := user.ParsePasswdFilter(bytes.NewReader(passwd), func(u user.User) bool {
		if numeric {
			return u.Uid == int(number)
		}
		return u.Name == who
	})
	if err != nil {
		return identity{}, "", fmt.Errorf("read the image's /etc/passwd: %w", err)
	}
	switch {
	case len(entries) > 0:
		entry := entries[0]
		if !fits(entry.Uid) || !fits(entry.Gid) {
			return identity{}, "", fmt.Errorf("user %q has an impossible number in the image's /etc/passwd: %w", who, errdefs.ErrInvalidArgument)
		}
		return identity{uid: uint32(entry.Uid), gid: uint32(entry.Gid), home: entry.Home}, entry.Name, nil
	case numeric:
		return identity{uid: number}, "", nil
	}
	return identity{}, "", fmt.Errorf("user %q is not in the image's /etc/passwd: %w", who, errdefs.ErrInvalidArgument)
}

func findGroup(file []byte, name string) (uint32, error) {
	if number, err := parseID(name); err == nil {
		return number, nil
	}
	entries, err := user.ParseGroupFilter(bytes.NewReader(file), func(g user.Group) bool { return g.Name == name })
	if err != nil {
		return 0, fmt.Errorf("read the image's /etc/group: %w", err)
	}
	if len(entries) == 0 || !fits(entries[0].Gid) {
		return 0, fmt.Errorf("group %q is not in the image's /etc/group: %w", name, errdefs.ErrInvalidArgument)
	}
	return uint32(entries[0].Gid), nil
}

// supplemental returns the primary group, those that the image puts the user in, unless the policy is Strict, and those
// of the client; in this order, which containers see and status.containerStatuses.user tells, and each once.
func supplemental(in *Input, id identity, name string) ([]uint32, error) {
	sc := in.security()
	groups := []uint32{id.gid}
	add := func(g uint32) {
		if !slices.Contains(groups, g) {
			groups = append(groups, g)
		}
	}
	if name != "" && sc.GetSupplementalGroupsPolicy() != runtimev1.SupplementalGroupsPolicy_Strict {
		entries, err := user.ParseGroupFilter(bytes.NewReader(in.Accounts.Group), func(g user.Group) bool { return slices.Contains(g.List, name) })
		if err != nil {
			return nil, fmt.Errorf("read the image's /etc/group: %w", err)
		}
		for _, g := range entries {
			if fits(g.Gid) {
				add(uint32(g.Gid))
			}
		}
	}
	for _, g := range sc.GetSupplementalGroups() {
		if g < 0 || g > math.MaxInt32 {
			return nil, fmt.Errorf("supplemental group %d is out of range: %w", g, errdefs.ErrInvalidArgument)
		}
		add(uint32(g))
	}
	return groups, nil
}

// parseID takes numbers up to 2^31-1: larger ones wrapped round to root in other runtimes (GO-2025-3528).
func parseID(s string) (uint32, error) {
	n, err := strconv.ParseUint(s, 10, 31)
	return uint32(n), err
}

func fits(n int) bool { return n >= 0 && n <= math.MaxInt32 }
