package container

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/mayfly-run/mayfly/internal/cri/image"
	"github.com/mayfly-run/mayfly/internal/cri/spec"
	"github.com/mayfly-run/mayfly/internal/cri/thread"
)

// accountLimit bounds what is read of an image's passwd and group files.
const accountLimit = 1 << 20

// accountCache remembers the account files of images, which never change.
type accountCache struct {
	mu   sync.Mutex
	byID map[string]spec.Accounts
}

func (a *accountCache) of(img image.Image) (spec.Accounts, error) {
	a.mu.Lock()
	known, ok := a.byID[img.ID]
	a.mu.Unlock()
	if ok {
		return known, nil
	}
	accounts, err := readAccounts(img)
	if err != nil {
		return accounts, fmt.Errorf("read accounts of image %s: %w", img.ID, err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.byID == nil || len(a.byID) > 1000 {
		a.byID = map[string]spec.Accounts{}
	}
	a.byID[img.ID] = accounts
	return accounts, nil
}

// readAccounts looks at the image as the kernel would show it: whiteouts and links between layers included. The
// layers are mounted in a mount namespace of a thread that ends here, so no other process ever sees the mount.
func readAccounts(img image.Image) (spec.Accounts, error) {
	if len(img.Lower) == 1 {
		return accountsBelow(img.Lower[0])
	}
	var accounts spec.Accounts
	err := thread.WithMounts(func() error {
		if err := mountLayers(readOnly(img), img.Empty); err != nil {
			return err
		}
		var err error
		accounts, err = accountsBelow(img.Empty)
		return err
	})
	return accounts, err
}

func accountsBelow(root string) (spec.Accounts, error) {
	passwd, err := readBelow(root, "etc/passwd")
	if err != nil {
		return spec.Accounts{}, err
	}
	group, err := readBelow(root, "etc/group")
	return spec.Accounts{Passwd: passwd, Group: group}, err
}

// readBelow reads a regular file of an image as if root were "/". A missing one is empty, and so is one whose links lead
// nowhere, or out of the image by way of procfs.
func readBelow(root, path string) ([]byte, error) {
	dir, err := unix.Open(root, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", root, err)
	}
	defer unix.Close(dir)
	fd, err := unix.Openat2(dir, path, &unix.OpenHow{Flags: unix.O_RDONLY | unix.O_NONBLOCK | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS})
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ENXIO) || errors.Is(err, unix.ELOOP) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open %s in the image: %w", path, err)
	}
	file := os.NewFile(uintptr(fd), path)
	defer file.Close()
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(file, accountLimit))
}
