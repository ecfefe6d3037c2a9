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
	buf  []byte
}

// open opens the log anew; without a path there is none.
func (f *logFile) open() error {
	if f.path == "" {
		return nil
	}
	fd, err := unix.Open(f.path, unix.O_WRONLY|unix.O_APPEND|unix.O_CREAT|unix.O_NOFOLLOW|unix.O_CLOEXEC|unix.O_NONBLOCK, 0o640)
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

// add appends one line to what flush writes.
func (f *logFile) add(now time.Time, stream string, tag byte, line []byte) {
	f.buf = now.AppendFormat(f.buf, time.RFC3339Nano)
	f.buf = append(f.buf, ' ')
	f.buf = append(f.buf, stream...)
	f.buf = append(f.buf, ' ', tag, ' ')
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
	if cap(f.buf) > 4*maxLine {
		f.buf = nil
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
	now := time.Now().UTC()
	for len(b) > 0 {
		line, rest, full := bytes.Cut(b, []byte{'\n'})
		for len(s.carry)+len(line) > maxLine || !full && len(s.carry)+len(line) == maxLine {
			take := maxLine - len(s.carry)
			f.add(now, s.stream, 'P', append(s.carry, line[:take]...))
			s.carry, line = s.carry[:0], line[take:]
		}
		if !full {
			s.carry = append(s.carry, line...)
			break
		}
		if len(s.carry) > 0 {
			line = append(s.carry, line...)
			s.carry = s.carry[:0]
		}
		f.add(now, s.stream, 'F', line)
		b = rest
	}
	if len(s.carry) == 0 {
		s.carry = nil
	}
	f.flush()
}

// end logs what is left at the end of a stream.
func (s *lines) end(f *logFile) {
	if len(s.carry) > 0 && f.path != "" {
		f.add(time.Now().UTC(), s.stream, 'P', s.carry)
		f.flush()
	}
	s.carry = nil
}
