package garbage

import (
	"slices"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// graph holds every object by its UID, and who depends on whom.
type graph struct {
	mu    sync.RWMutex
	nodes map[types.UID]*node
	// dependents holds the objects that name a UID as an owner, whether that is in nodes or not.
	dependents map[types.UID]map[types.UID]struct{}
}

func newGraph() *graph {
	return &graph{nodes: map[types.UID]*node{}, dependents: map[types.UID]map[types.UID]struct{}{}}
}

// put notes an object and answers those that are to be examined because of it.
func (g *graph) put(n *node) []types.UID {
	g.mu.Lock()
	defer g.mu.Unlock()
	old := g.nodes[n.uid]
	g.nodes[n.uid] = n
	if old == nil || !slices.EqualFunc(old.owners, n.owners, sameOwner) {
		if old != nil {
			g.unlink(old)
		}
		for _, owner := range n.owners {
			if g.dependents[owner.UID] == nil {
				g.dependents[owner.UID] = map[types.UID]struct{}{}
			}
			g.dependents[owner.UID][n.uid] = struct{}{}
		}
	}
	return g.affected(old, n)
}

func (g *graph) affected(old, n *node) []types.UID {
	var affected []types.UID
	if n.foreground {
		affected = append(affected, n.uid)
	}
	ownersChanged := old == nil || !slices.EqualFunc(old.owners, n.owners, sameOwner)
	if ownersChanged && slices.ContainsFunc(n.owners, g.isDoubtful) {
		affected = append(affected, n.uid)
	}
	// An owner that waits for this one may wait no more.
	if old != nil && ownersChanged {
		for _, owner := range old.owners {
			if o := g.nodes[owner.UID]; o != nil && o.foreground {
				affected = append(affected, owner.UID)
			}
		}
	}
	return affected
}

// isDoubtful tells whether an owner is unknown, or another object than the reference says, or about to go.
func (g *graph) isDoubtful(owner metav1.OwnerReference) bool {
	o := g.nodes[owner.UID]
	return o == nil || o.foreground || o.name != owner.Name || o.kind.kind.Kind != owner.Kind
}

func sameOwner(a, b metav1.OwnerReference) bool {
	return a.UID == b.UID && a.Name == b.Name && a.Kind == b.Kind && a.APIVersion == b.APIVersion && blocks(a) == blocks(b)
}

func blocks(owner metav1.OwnerReference) bool {
	return owner.BlockOwnerDeletion != nil && *owner.BlockOwnerDeletion
}

// remove forgets an object and answers those that are to be examined because of it: its dependents, and the owners
// that waited for it.
func (g *graph) remove(uid types.UID) []types.UID {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := g.nodes[uid]
	if n == nil {
		return nil
	}
	g.unlink(n)
	delete(g.nodes, uid)
	var affected []types.UID
	for dependent := range g.dependents[uid] {
		affected = append(affected, dependent)
	}
	for _, owner := range n.owners {
		if o := g.nodes[owner.UID]; o != nil && o.foreground {
			affected = append(affected, owner.UID)
		}
	}
	return affected
}

func (g *graph) unlink(n *node) {
	for _, owner := range n.owners {
		delete(g.dependents[owner.UID], n.uid)
		if len(g.dependents[owner.UID]) == 0 {
			delete(g.dependents, owner.UID)
		}
	}
}

func (g *graph) get(uid types.UID) *node {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return g.nodes[uid]
}

// dependentsOf answers the objects that name uid as an owner.
func (g *graph) dependentsOf(uid types.UID) []*node {
	g.mu.RLock()
	defer g.mu.RUnlock()
	var found []*node
	for dependent := range g.dependents[uid] {
		if n := g.nodes[dependent]; n != nil {
			found = append(found, n)
		}
	}
	return found
}

// blockersOf answers the dependents that keep a foreground deletion of uid from ending.
func (g *graph) blockersOf(uid types.UID) []*node {
	return slices.DeleteFunc(g.dependentsOf(uid), func(n *node) bool {
		return !slices.ContainsFunc(n.owners, func(o metav1.OwnerReference) bool { return o.UID == uid && blocks(o) })
	})
}
