package logging

import (
	"context"
	"log/slog"
)

// quiet lowers what Kubernetes' libraries tell their own developers, where ours speak to the person who runs the
// program: information, and errors that a client's leaving makes, are for debugging; what a client was told of its own
// stream is information.
type quiet struct{ slog.Handler }

// Enabled is part of slog.Handler.
func (q quiet) Enabled(ctx context.Context, l slog.Level) bool {
	return q.Handler.Enabled(ctx, lower(l))
}

// Handle is part of slog.Handler.
func (q quiet) Handle(ctx context.Context, r slog.Record) error {
	r.Level = lower(r.Level)
	if r.Level >= slog.LevelWarn {
		switch err := recorded(r); {
		case departure(err, r.Message):
			r.Level = slog.LevelDebug
		case toldClient(err):
			r.Level = slog.LevelInfo
		}
	}
	if !q.Handler.Enabled(ctx, r.Level) {
		return nil
	}
	return q.Handler.Handle(ctx, r)
}

// WithAttrs is part of slog.Handler.
func (q quiet) WithAttrs(attrs []slog.Attr) slog.Handler { return quiet{q.Handler.WithAttrs(attrs)} }

// WithGroup is part of slog.Handler.
func (q quiet) WithGroup(name string) slog.Handler { return quiet{q.Handler.WithGroup(name)} }

func lower(l slog.Level) slog.Level {
	if l < slog.LevelWarn && l >= slog.LevelInfo {
		return slog.LevelDebug
	}
	return l
}
