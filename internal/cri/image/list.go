package image

import (
	"cmp"
	"slices"
	"time"
)

// Summary is an image of a list.
type Summary struct {
	// ID is the digest of the configuration.
	ID string `json:"id"`
	// RepoTags and RepoDigests are full names.
	RepoTags    []string `json:"repoTags,omitempty"`
	RepoDigests []string `json:"repoDigests,omitempty"`
	// Size is that of the compressed content, in bytes.
	Size int64 `json:"size"`
	// Created is when the image was built, or zero when it does not say.
	Created time.Time `json:"created"`
	// Labels are the configuration's.
	Labels map[string]string `json:"labels,omitempty"`
	// Containers counts those that use the image.
	Containers int `json:"containers"`
}

// List is all images, sorted by name and then by ID.
func (s *Store) List() []Summary {
	s.index.mu.RLock()
	var list []Summary
	for _, e := range s.index.byID {
		if e.hidden {
			continue
		}
		item := Summary{ID: e.id, Size: e.size, Labels: e.spec.Config.Labels, Containers: len(e.pins)}
		item.RepoTags, item.RepoDigests = split(e.sortedNames())
		if e.spec.Created != nil {
			item.Created = *e.spec.Created
		}
		list = append(list, item)
	}
	s.index.mu.RUnlock()
	slices.SortFunc(list, func(a, b Summary) int {
		return cmp.Or(slices.Compare(a.RepoTags, b.RepoTags), cmp.Compare(a.ID, b.ID))
	})
	return list
}
