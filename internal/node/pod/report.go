package pod

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"

	"github.com/mayfly-run/mayfly/internal/node/log"
	"github.com/mayfly-run/mayfly/internal/node/runtime"
	"github.com/mayfly-run/mayfly/internal/node/status"
)

// Bounds of termination messages, as the kubelet has them.
const (
	maxMessage      = 4096
	maxLogMessage   = 2048
	maxMessageLines = 80
)

// report computes the Pod's status and has it written if it differs. Called with mu held.
func (w *Worker) report(ctx context.Context) {
	if w.gone {
		return
	}
	pod := w.spec.DeepCopy()
	last := w.writer.Status()
	pod.Status = last
	s := status.Compute(status.Input{
		Pod: pod, Runtime: w.rt, RuntimeName: w.RuntimeName, HostIPs: w.HostIPs,
		Waiting: w.waiting, Ready: w.readyNow, Started: w.startedNow, Message: w.message,
		Verdict: w.verdict, Stopping: w.spec.DeletionTimestamp != nil || w.verdict != nil, Now: time.Now(),
	})
	w.writer.Set(ctx, s)
	if terminal(&corev1.Pod{Status: s}) && !terminal(w.spec) {
		next := *w.spec
		next.Status.Phase = s.Phase
		w.spec = &next // the watch will say so too, later
		w.Wake()
	}
}

// message reads how a container that has exited explains itself.
func (w *Worker) message(c *runtime.Container) string {
	if text, ok := w.messages[c.GetId()]; ok {
		return text
	}
	name, attempt := c.GetMetadata().GetName(), c.GetMetadata().GetAttempt()
	text := tail(w.messagePath(name, attempt), maxMessage)
	fallback := c.GetAnnotations()[annotationMessagePolicy] == string(corev1.TerminationMessageFallbackToLogsOnError)
	if text == "" && fallback && c.GetExitCode() != 0 {
		lines, err := log.Tail(filepath.Join(w.logDir(), logPath(name, attempt)), maxMessageLines, maxLogMessage)
		if err == nil {
			text = lines
		}
	}
	w.messages[c.GetId()] = strings.ToValidUTF8(text, "\uFFFD")
	return w.messages[c.GetId()]
}

// tail reads the last bytes of a file that a container wrote: it may have made it anything, so nothing but a regular
// file is read, and no link is followed.
func tail(path string, limit int64) string {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return ""
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return ""
	}
	if size := info.Size(); size > limit {
		if _, err := f.Seek(size-limit, io.SeekStart); err != nil {
			return ""
		}
	}
	text, err := io.ReadAll(io.LimitReader(f, limit))
	if err != nil {
		return ""
	}
	return string(text)
}
