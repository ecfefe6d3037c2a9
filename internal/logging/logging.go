// Package logging sets up the program's one logger, log/slog, and leads the loggers of the libraries into it.
package logging

import (
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"

	"github.com/sirupsen/logrus"
	"k8s.io/klog/v2"
)

// Formats are the values of --log-format.
var formats = []string{"text", "json"}

// Config says what is logged, how and where to.
type Config struct {
	// Level is debug, info, warn or error.
	Level string
	// Format is text or json.
	Format string
	// Output takes the lines.
	Output io.Writer
}

// Validate tells what is wrong with the level or the format, and what may be written instead.
func (c Config) Validate() error {
	if _, err := c.level(); err != nil {
		return err
	}
	if !slices.Contains(formats, c.Format) {
		return fmt.Errorf("log format %q is none of %s", c.Format, strings.Join(formats, ", "))
	}
	return nil
}

func (c Config) level() (slog.Level, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.Level)); err != nil {
		return level, fmt.Errorf("log level %q is none of debug, info, warn, error", c.Level)
	}
	return level, nil
}

// Setup makes the logger the default one of slog, and the target of klog and logrus.
func Setup(c Config) error {
	if err := c.Validate(); err != nil {
		return err
	}
	level, err := c.level()
	if err != nil {
		return err
	}
	options := &slog.HandlerOptions{Level: level}
	var handler slog.Handler = slog.NewTextHandler(c.Output, options)
	if c.Format == "json" {
		handler = slog.NewJSONHandler(c.Output, options)
	}
	logger := slog.New(handler)
	slog.SetDefault(logger)
	klog.SetSlogLogger(slog.New(quiet{handler}))
	logrus.SetOutput(io.Discard)
	logrus.SetLevel(logrus.WarnLevel)
	logrus.AddHook(logrusHook{logger})
	return nil
}

// logrusHook hands each entry of containerd's libraries to slog.
type logrusHook struct{ logger *slog.Logger }

// Levels is part of logrus.Hook.
func (logrusHook) Levels() []logrus.Level { return logrus.AllLevels }

// Fire is part of logrus.Hook.
func (h logrusHook) Fire(e *logrus.Entry) error {
	args := make([]any, 0, 2*len(e.Data))
	for k, v := range e.Data {
		args = append(args, k, v)
	}
	h.logger.Log(e.Context, slogLevel(e.Level), e.Message, args...)
	return nil
}

// slogLevel keeps errors. What containerd's libraries warn of (a filesystem without fsverity, say) asks nothing of
// the person who runs Mayfly.
func slogLevel(l logrus.Level) slog.Level {
	if l <= logrus.ErrorLevel {
		return slog.LevelError
	}
	return slog.LevelDebug
}
