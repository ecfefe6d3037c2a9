package image

import (
	"archive/tar"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// ImportDir is Import of a directory that holds what the tar file would: an OCI image layout, or an unpacked
// docker-archive.
func (s *Store) ImportDir(ctx context.Context, dir string, o ImportOptions) ([]Imported, error) {
	stream := TarDir(dir)
	defer stream.Close()
	return s.Import(ctx, stream, o)
}

// TarDir turns a directory into the tar stream that Import takes. Symbolic links stay links, so that nothing outside
// of dir is read.
func TarDir(dir string) io.ReadCloser {
	r, w := io.Pipe()
	go func() {
		tw := tar.NewWriter(w)
		err := addTree(tw, dir)
		if err == nil {
			err = tw.Close()
		}
		w.CloseWithError(err)
	}()
	return r
}

func addTree(tw *tar.Writer, dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("open image directory: %w", err)
	}
	defer root.Close()
	return fs.WalkDir(root.FS(), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		switch {
		case d.Type() == fs.ModeSymlink:
			return addLink(tw, filepath.Join(dir, path), path)
		case d.Type().IsRegular():
			return addFile(tw, root, path)
		}
		return nil
	})
}

func addLink(tw *tar.Writer, file, path string) error {
	target, err := os.Readlink(file)
	if err != nil {
		return fmt.Errorf("read image directory: %w", err)
	}
	return tw.WriteHeader(&tar.Header{Typeflag: tar.TypeSymlink, Name: path, Linkname: target})
}

func addFile(tw *tar.Writer, root *os.Root, path string) error {
	f, err := root.Open(path)
	if err != nil {
		return fmt.Errorf("read image directory: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("read image directory: %w", err)
	}
	if err := tw.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: path, Size: info.Size(), Mode: 0o644}); err != nil {
		return err
	}
	if _, err := io.Copy(tw, f); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	return nil
}
