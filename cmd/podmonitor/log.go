package main

import (
	"bytes"
	"time"

	"golang.org/x/sys/unix"
)

// maxLine is how much of a line without an end is written at once, as containerd has it.
const maxLine = 16 << 10

// logFile takes lines in the CRI's format: time, stream, F for a full line or P for a part, text.
type logFile struct {
	path string
	fd   int
	// buf is what flush writes. It is empty after that, so its space serves all logs.
	buf []byte
}

// open opens the log anew; without a path there is none. No part of the path may be a link.
func (f *logFile) open() error {
	if f.path == "" {
		return nil
	}
	fd, err := unix.Openat2(unix.AT_FDCWD, f.path, &unix.OpenHow{
		Flags: unix.O_WRONLY | unix.O_APPEND | unix.O_CREAT | unix.O_CLOEXEC | unix.O_NONBLOCK, Mode: 0o640, Resolve: unix.RESOLVE_NO_SYMLINKS,
	})
	if err != nil {
		return err
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		unix.Close(fd)
		return unix.EINVAL
	}
	f.close()
	f.fd = fd
	return nil
}

func (f *logFile) close() {
	if f.fd > 0 {
		unix.Close(f.fd)
	}
	f.fd = 0
}

// add appends a line, which may come in two pieces, to what flush writes, and flushes when there is no room.
func (f *logFile) add(head []byte, tag byte, begun, line []byte) {
	if len(f.buf)+len(head)+len(begun)+len(line)+len("F \n") > cap(f.buf) {
		f.flush()
	}
	f.buf = append(f.buf, head...)
	f.buf = append(f.buf, tag, ' ')
	f.buf = append(f.buf, begun...)
	f.buf = append(f.buf, line...)
	f.buf = append(f.buf, '\n')
}

// flush writes; what the disk does not take is lost, the container goes on.
func (f *logFile) flush() {
	for b := f.buf; len(b) > 0 && f.fd > 0; {
		n, err := unix.Write(f.fd, b)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			break
		}
		b = b[n:]
	}
	f.buf = f.buf[:0]
}

// lines cuts a stream into log lines.
type lines struct {
	stream string
	carry  []byte
}

// write logs what is complete and keeps the rest.
func (s *lines) write(f *logFile, b []byte) {
	if f.path == "" {
		return
	}
	var space [headSize]byte
	head := s.head(space[:0])
	for len(b) > 0 {
		line, rest, full := bytes.Cut(b, []byte{'\n'})
		for room := maxLine - len(s.carry); len(line) > room || !full && len(line) == room; room = maxLine {
			f.add(head, 'P', s.carry, line[:room])
			s.carry, line = s.carry[:0], line[room:]
		}
		if !full {
			s.carry = append(s.carry, line...)
			break
		}
		f.add(head, 'F', s.carry, line)
		s.carry, b = s.carry[:0], rest
	}
	if len(s.carry) == 0 {
		s.carry = nil
	}
	f.flush()
}

// headSize is enough for what a line begins with.
const headSize = len(time.RFC3339Nano) + len(" stdout ")

// head appends what every line that is written now begins with.
func (s *lines) head(b []byte) []byte {
	b = time.Now().UTC().AppendFormat(b, time.RFC3339Nano)
	b = append(b, ' ')
	b = append(b, s.stream...)
	return append(b, ' ')
}

// end logs what is left at the end of a stream.
func (s *lines) end(f *logFile) {
	if len(s.carry) > 0 && f.path != "" {
		f.add(s.head(nil), 'P', s.carry, nil)
		f.flush()
	}
	s.carry = nil
}
