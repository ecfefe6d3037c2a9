package image

import (
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// File is one file of an image. With Link it is a hard link to a file named before it; a name that ends in a slash is a
// directory.
type File struct {
	Name    string
	Mode    int64
	Content []byte
	Link    string
}

// Custom is base, or an empty image for nil, with one more layer and another configuration.
func Custom(base v1.Image, config v1.Config, files []File) (v1.Image, error) {
	entries := make([]entry, len(files))
	for i, f := range files {
		switch {
		case f.Link != "":
			entries[i] = hardLink(f.Name, f.Link)
		case f.Name[len(f.Name)-1] == '/':
			entries[i] = directory(f.Name[:len(f.Name)-1], f.Mode)
		default:
			entries[i] = file(f.Name, f.Mode, f.Content)
		}
	}
	if base == nil {
		return build(config, entries)
	}
	return extend(base, config, entries)
}
