package runtime

import (
	"context"
	"log/slog"
	"time"

	"k8s.io/apimachinery/pkg/types"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"
	labels "k8s.io/kubelet/pkg/types"
)

// Periods of the safety net below the event stream.
const (
	// relistEvented is how often everything is looked at although events arrive.
	relistEvented = time.Minute
	// relistBlind is how often everything is looked at while there is no event stream.
	relistBlind = time.Second
	// streamRetry is the pause before a broken stream is opened again.
	streamRetry = 500 * time.Millisecond
)

// News is what an event of the runtime said, as far as it matters. The zero value says: look for yourself.
type News struct {
	ContainerID string
	// Started says that the container has begun to run.
	Started bool
}

// Watch calls changed for every Pod that the runtime reports an event of, and for all that it knows when it cannot
// know better: at start, after the stream broke, and once a minute. It returns when ctx ends.
//
// An event is only a hint that a Pod should be looked at. Several may be merged, none may be relied on.
func (c *Client) Watch(ctx context.Context, changed func(types.UID, News)) {
	evented := make(chan bool, 1)
	go c.relist(ctx, evented, changed)
	for ctx.Err() == nil {
		err := c.stream(ctx, evented, changed)
		setLatest(evented, false)
		if ctx.Err() != nil {
			return
		}
		slog.DebugContext(ctx, "runtime's event stream ended", "err", err)
		select {
		case <-ctx.Done():
		case <-time.After(streamRetry):
		}
	}
}

func (c *Client) stream(ctx context.Context, evented chan bool, changed func(types.UID, News)) error {
	events, err := c.GetContainerEvents(ctx, &runtimev1.GetEventsRequest{})
	if err != nil {
		return err
	}
	setLatest(evented, true)
	for {
		event, err := events.Recv()
		if err != nil {
			return err
		}
		kind := event.GetContainerEventType()
		if kind == runtimev1.ContainerEventType_CONTAINER_CREATED_EVENT {
			continue // whoever made it knows, and nothing runs yet
		}
		uid := eventUID(event)
		if uid == "" {
			setLatest(evented, true) // an event of nobody in particular: look at everything
			continue
		}
		changed(uid, News{ContainerID: event.GetContainerId(), Started: kind == runtimev1.ContainerEventType_CONTAINER_STARTED_EVENT})
	}
}

func eventUID(event *runtimev1.ContainerEventResponse) types.UID {
	if uid := event.GetPodSandboxStatus().GetMetadata().GetUid(); uid != "" {
		return types.UID(uid)
	}
	for _, c := range event.GetContainersStatuses() {
		if uid := c.GetLabels()[labels.KubernetesPodUIDLabel]; uid != "" {
			return types.UID(uid)
		}
	}
	return ""
}

// relist looks at everything whenever the state of the stream changes, and periodically.
func (c *Client) relist(ctx context.Context, evented <-chan bool, changed func(types.UID, News)) {
	period := relistBlind
	timer := time.NewTimer(period)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case ok := <-evented:
			period = relistBlind
			if ok {
				period = relistEvented
			}
		case <-timer.C:
		}
		timer.Reset(period)
		uids, err := c.UIDs(ctx)
		if err != nil {
			slog.DebugContext(ctx, "runtime cannot be listed", "err", err)
			continue
		}
		for uid := range uids {
			changed(uid, News{})
		}
	}
}

// setLatest puts v in a one-place channel, displacing what nobody has read.
func setLatest(ch chan bool, v bool) {
	for {
		select {
		case ch <- v:
			return
		default:
		}
		select {
		case <-ch:
		default:
		}
	}
}
