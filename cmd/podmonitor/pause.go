package main

import (
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
)

// pause keeps a PID namespace alive and reaps its orphans until it is told to end.
func pause() {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, unix.SIGCHLD, unix.SIGTERM, unix.SIGINT)
	for s := range signals {
		if s != unix.SIGCHLD {
			return
		}
		for {
			if pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil); err != nil || pid <= 0 {
				break
			}
		}
	}
}
