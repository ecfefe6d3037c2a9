package stream

import (
	"context"
	"io"
	"os"
	"sync"
)

// pipes are the near ends of a process's streams. With shared, stdin and stdout are one terminal. With linger, the
// client's end of input ends the session.
type pipes struct {
	stdin, stdout, stderr *os.File
	shared                bool
	linger                *linger
}

// copy moves everything until the outputs end, and closes the pipes. It returns early when ctx ends. The copying of
// the client's input may outlive it for as long as the client's connection does, which the caller closes next.
func (p pipes) copy(ctx context.Context, in io.Reader, out, errOut io.Writer, ended <-chan struct{}) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	closeAll := sync.OnceFunc(func() {
		cancel()
		for _, f := range []*os.File{p.stdin, p.stdout, p.stderr} {
			if f != nil {
				f.Close()
			}
		}
	})
	defer closeAll()
	stop := context.AfterFunc(ctx, closeAll) // wakes whatever reads or writes them
	defer stop()
	if in != nil && p.stdin != nil {
		go p.feed(ctx, in, closeAll)
	}
	var outputs sync.WaitGroup
	for _, o := range []struct {
		from *os.File
		to   io.Writer
	}{{p.stdout, out}, {p.stderr, errOut}} {
		if o.from != nil && o.to != nil {
			outputs.Go(func() {
				if err := Pump(p.linger.output(o.to), o.from, ended); err != nil {
					closeAll() // nobody listens any more
				}
			})
		}
	}
	outputs.Wait()
	if p.stdout == nil && p.stderr == nil && ended == nil { // only input: the client's to end
		<-ctx.Done()
	}
	return nil
}

// feed copies the client's input. Its end is passed on, unless that would hang up a terminal, and ends the session
// where it is how clients leave.
func (p pipes) feed(ctx context.Context, in io.Reader, closeAll func()) {
	buffer := buffers.Get().(*[]byte)
	defer buffers.Put(buffer)
	_, _ = io.CopyBuffer(p.linger.input(onlyWriter{p.stdin}), in, *buffer)
	if !p.shared {
		p.stdin.Close()
	}
	if p.linger != nil {
		p.linger.wait(ctx)
		closeAll()
	}
}

// onlyWriter hides os.File's ReadFrom, which would ignore the buffer.
type onlyWriter struct{ io.Writer }
