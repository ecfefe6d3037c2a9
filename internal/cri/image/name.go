package image

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
)

// maxName bounds a reference: 255 bytes of repository, 128 of tag, 135 of digest, and separators.
const maxName = 1024

var shortID = regexp.MustCompile(`^(?:sha256:)?[0-9a-f]{6,64}$`)

// Normalize completes a reference as Docker does: busybox is docker.io/library/busybox:latest. A tag beside a digest
// is dropped, since the digest alone decides. An unusable reference is errdefs.ErrInvalidArgument.
func Normalize(ref string) (string, error) {
	named, err := parse(ref)
	if err != nil {
		return "", err
	}
	return named.String(), nil
}

func parse(ref string) (reference.Named, error) {
	if ref == "" {
		return nil, fmt.Errorf("an image reference is empty: %w", errdefs.ErrInvalidArgument)
	}
	if len(ref) > maxName {
		return nil, fmt.Errorf("image reference %q… is longer than %d bytes: %w", ref[:64], maxName, errdefs.ErrInvalidArgument)
	}
	named, err := reference.ParseDockerRef(ref)
	if err != nil {
		return nil, fmt.Errorf("parse image reference %q: %v: %w", ref, err, errdefs.ErrInvalidArgument)
	}
	return named, nil
}

// Familiar is the shortest form that Normalize turns into name again; what is no reference is returned as it is.
func Familiar(name string) string {
	named, err := reference.ParseNormalizedNamed(name)
	if err != nil {
		return name
	}
	return reference.FamiliarString(named)
}

// isID tells whether a stored name is an image ID, which is the digest of an image's configuration.
func isID(name string) bool {
	_, err := digest.Parse(name)
	return err == nil
}

// storedNames are the names under which an image that was asked for as named is kept: its tag, and its digest.
func storedNames(named reference.Named, target digest.Digest) []string {
	if _, ok := named.(reference.Canonical); ok {
		return []string{named.String()}
	}
	return []string{named.String(), named.Name() + "@" + target.String()}
}

// split sorts stored names into tags and digests, the two lists of CRI's Image.
func split(names []string) (tags, digests []string) {
	for _, name := range names {
		switch {
		case isID(name):
		case strings.Contains(name, "@"):
			digests = append(digests, name)
		default:
			tags = append(tags, name)
		}
	}
	return tags, digests
}
