package network

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/containerd/errdefs"
)

const (
	recordVersion = 1
	recordSuffix  = ".json"

	driverBridge = "bridge"
	driverCNI    = "cni"
)

var validID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$`)

// record is what is kept of a connected sandbox.
type record struct {
	Version int           `json:"version"`
	ID      string        `json:"id"`
	Driver  string        `json:"driver"`
	IPs     []netip.Addr  `json:"ips,omitempty"`
	Link    string        `json:"link,omitempty"` // the host's end of the veth pair
	Netns   string        `json:"netns,omitempty"`
	Pod     Pod           `json:"pod"`
	Ports   []PortMapping `json:"ports,omitempty"`

	Bandwidth Bandwidth `json:"bandwidth,omitzero"`
	Conf      *conf     `json:"conf,omitempty"` // the CNI configuration that it is connected by
}

// ledger knows which sandbox has which address. Files need no fsync: after a power cut no sandbox lives either.
type ledger struct {
	dir      string
	prefixes []netip.Prefix

	mu      sync.Mutex
	records map[string]*record
	used    map[netip.Addr]string
	// last is the address given out last in each network, so that one that was freed rests for a while.
	last map[netip.Prefix]netip.Addr
}

func openLedger(dir string, prefixes []netip.Prefix) (*ledger, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("create network state: %w", err)
	}
	l := &ledger{dir: dir, prefixes: prefixes, records: map[string]*record{}, used: map[netip.Addr]string{}, last: map[netip.Prefix]netip.Addr{}}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("read network state: %w", err)
	}
	for _, entry := range entries {
		path := filepath.Join(dir, entry.Name())
		if strings.HasSuffix(path, recordSuffix) {
			l.load(path)
		} else if strings.HasPrefix(entry.Name(), ".") {
			os.Remove(path) // a write that a crash cut short
		}
	}
	return l, nil
}

// load takes a record in. A damaged one is set aside: Reconcile brings the addresses of living sandboxes back. An empty
// one is what a power failure leaves of a name whose content had not reached the disk.
func (l *ledger) load(path string) {
	data, err := os.ReadFile(path)
	if err == nil && len(data) == 0 {
		os.Remove(path)
		return
	}
	var rec record
	if err == nil {
		err = json.Unmarshal(data, &rec)
	}
	if err == nil && (rec.Version != recordVersion || rec.ID+recordSuffix != filepath.Base(path)) {
		err = fmt.Errorf("it is of version %d and for sandbox %q", rec.Version, rec.ID)
	}
	if err != nil {
		slog.Warn("set aside unreadable network state", "file", path, "err", err)
		if err := os.Rename(path, path+".damaged"); err != nil {
			slog.Warn("rename network state", "file", path, "err", err)
		}
		return
	}
	l.add(&rec)
}

func (l *ledger) add(rec *record) {
	l.records[rec.ID] = rec
	for _, ip := range rec.IPs {
		l.used[ip] = rec.ID
	}
}

func (l *ledger) get(id string) *record {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.records[id]
}

func (l *ledger) all() []*record {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := make([]*record, 0, len(l.records))
	for _, rec := range l.records {
		list = append(list, rec)
	}
	return list
}

// has tells whether any sandbox is connected that way.
func (l *ledger) has(driver string) bool {
	return slices.ContainsFunc(l.all(), func(rec *record) bool { return rec.Driver == driver })
}

// allocate reserves an address of each network and the sandbox's host ports, on disk before it returns.
func (l *ledger) allocate(sb Sandbox, link string) (*record, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	rec := &record{Version: recordVersion, ID: sb.ID, Driver: driverBridge, Link: link, Netns: sb.Netns, Pod: sb.Pod, Bandwidth: sb.Bandwidth}
	for _, p := range sb.Ports {
		if p.HostPort == 0 {
			continue
		}
		if err := l.checkPort(p); err != nil {
			return nil, err
		}
		rec.Ports = append(rec.Ports, p)
	}
	for _, prefix := range l.prefixes {
		ip, err := l.next(prefix)
		if err != nil {
			return nil, err
		}
		rec.IPs = append(rec.IPs, ip)
	}
	if err := l.write(rec); err != nil {
		return nil, err
	}
	for i, prefix := range l.prefixes {
		l.last[prefix] = rec.IPs[i]
	}
	l.add(rec)
	return rec, nil
}

func (l *ledger) checkPort(p PortMapping) error {
	if _, err := protocolNumber(p.Protocol); err != nil {
		return err
	}
	if p.HostIP != "" {
		if _, err := netip.ParseAddr(p.HostIP); err != nil {
			return fmt.Errorf("host IP %q of port %d: %w", p.HostIP, p.HostPort, errdefs.ErrInvalidArgument)
		}
	}
	for _, rec := range l.records {
		for _, q := range rec.Ports {
			if q.HostPort == p.HostPort && strings.EqualFold(q.Protocol, p.Protocol) && (anyIP(q.HostIP) || anyIP(p.HostIP) || q.HostIP == p.HostIP) {
				return fmt.Errorf("host port %d/%s is taken by pod %s/%s: %w", p.HostPort, p.Protocol, rec.Pod.Namespace, rec.Pod.Name, errdefs.ErrAlreadyExists)
			}
		}
	}
	return nil
}

func anyIP(ip string) bool {
	addr, err := netip.ParseAddr(ip)
	return err != nil || addr.IsUnspecified()
}

// next finds a free address after the one given out last. The first of the network is the gateway's; an IPv4 network
// has a broadcast address at its end.
func (l *ledger) next(prefix netip.Prefix) (netip.Addr, error) {
	first := gateway(prefix).Next()
	ip := l.last[prefix]
	if !ip.IsValid() {
		ip = first.Prev()
	}
	for range len(l.used) + 3 {
		ip = ip.Next()
		if !ip.IsValid() || !prefix.Contains(ip) || ip.Is4() && !prefix.Contains(ip.Next()) {
			ip = first
		}
		if _, taken := l.used[ip]; !taken {
			return ip, nil
		}
	}
	return netip.Addr{}, fmt.Errorf("the pod network %s has no address left for another pod: %w", prefix, errdefs.ErrResourceExhausted)
}

func gateway(prefix netip.Prefix) netip.Addr { return prefix.Masked().Addr().Next() }

// restore takes in a sandbox whose record was lost.
func (l *ledger) restore(living Living, link string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	rec := &record{Version: recordVersion, ID: living.ID, Driver: driverBridge, Link: link, IPs: living.IPs}
	if err := l.write(rec); err != nil {
		return err
	}
	l.add(rec)
	return nil
}

// keep remembers a sandbox that CNI connected.
func (l *ledger) keep(rec *record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.write(rec); err != nil {
		return err
	}
	l.add(rec)
	return nil
}

func (l *ledger) write(rec *record) error {
	if !validID.MatchString(rec.ID) {
		return fmt.Errorf("sandbox ID %q: %w", rec.ID, errdefs.ErrInvalidArgument)
	}
	data, err := json.Marshal(rec)
	if err != nil {
		return fmt.Errorf("encode network state: %w", err)
	}
	temporary := filepath.Join(l.dir, "."+rec.ID)
	if err := os.WriteFile(temporary, data, 0o600); err != nil {
		return errors.Join(fmt.Errorf("write network state: %w", err), ignoreMissing(os.Remove(temporary)))
	}
	if err := os.Rename(temporary, filepath.Join(l.dir, rec.ID+recordSuffix)); err != nil {
		return fmt.Errorf("write network state: %w", err)
	}
	return nil
}

func (l *ledger) free(id string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	rec := l.records[id]
	if rec == nil {
		return nil
	}
	if err := ignoreMissing(os.Remove(filepath.Join(l.dir, id+recordSuffix))); err != nil {
		return fmt.Errorf("free addresses: %w", err)
	}
	delete(l.records, id)
	for _, ip := range rec.IPs {
		if l.used[ip] == id {
			delete(l.used, ip)
		}
	}
	return nil
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
