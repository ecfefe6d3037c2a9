package storage

import (
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// fatal takes what etcd would end the process for: the goroutine ends instead, and the server hears why.
type fatal struct {
	dir      string
	happened chan error
	once     sync.Once
	mu       sync.Mutex
	seen     bool
}

func newFatal(dir string) *fatal { return &fatal{dir: dir, happened: make(chan error, 1)} }

// OnWrite implements zapcore.CheckWriteHook for messages that end the process or panic.
func (f *fatal) OnWrite(entry *zapcore.CheckedEntry, fields []zapcore.Field) {
	f.once.Do(func() {
		f.mu.Lock()
		f.seen = true
		f.mu.Unlock()
		f.happened <- fmt.Errorf("etcd in %s: %s%s", f.dir, entry.Message, describe(fields))
	})
	runtime.Goexit()
}

func (f *fatal) has() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.seen
}

// describe appends the error among fields.
func describe(fields []zapcore.Field) string {
	var b strings.Builder
	for _, f := range fields {
		if err, ok := f.Interface.(error); ok && f.Type == zapcore.ErrorType {
			fmt.Fprintf(&b, ": %v", err)
		}
	}
	return b.String()
}

func newLogger(f *fatal) *zap.Logger {
	return zap.New(&core{}, zap.WithFatalHook(f), zap.WithPanicHook(f))
}

// core passes etcd's warnings and errors on to slog.
type core struct{ fields []zapcore.Field }

func (c *core) Enabled(level zapcore.Level) bool { return level >= zapcore.WarnLevel }

func (c *core) With(fields []zapcore.Field) zapcore.Core {
	return &core{fields: append(c.fields[:len(c.fields):len(c.fields)], fields...)}
}

func (c *core) Check(entry zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(entry.Level) {
		return checked.AddCore(entry, c)
	}
	return checked
}

func (c *core) Write(entry zapcore.Entry, fields []zapcore.Field) error {
	enc := zapcore.NewMapObjectEncoder()
	for _, f := range append(c.fields[:len(c.fields):len(c.fields)], fields...) {
		f.AddTo(enc)
	}
	level := slog.LevelDebug
	if entry.Level >= zapcore.ErrorLevel && !expected(entry.Message, describe(fields)) {
		level = slog.LevelWarn
	}
	slog.Default().LogAttrs(nil, level, "etcd", slog.String("message", entry.Message), slog.Any("fields", enc.Fields))
	return nil
}

// expected tells whether etcd calls an error what every first start brings: no term is known before the first write.
func expected(message, cause string) bool {
	return message == "failed to update storage version" && strings.Contains(cause, "missing term information")
}

func (c *core) Sync() error { return nil }
