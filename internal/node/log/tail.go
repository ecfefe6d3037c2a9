package log

import (
	"bytes"
	"context"
	"io"
)

const tailBlock = 16 << 10

// tailStart returns the offset where the last n lines of the file begin. An unfinished last line counts as one.
func tailStart(f io.ReadSeeker, n int64) (int64, error) {
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil || n <= 0 {
		return size, err
	}
	block := make([]byte, tailBlock)
	for end := size; end > 0; {
		begin := max(0, end-tailBlock)
		if _, err := f.Seek(begin, io.SeekStart); err != nil {
			return 0, err
		}
		part := block[:end-begin]
		if _, err := io.ReadFull(f, part); err != nil {
			return 0, err
		}
		if end == size && part[len(part)-1] == '\n' {
			part = part[:len(part)-1]
		}
		for i := bytes.LastIndexByte(part, '\n'); i >= 0; i = bytes.LastIndexByte(part[:i], '\n') {
			if n--; n == 0 {
				return begin + int64(i) + 1, nil
			}
		}
		end = begin
	}
	return 0, nil
}

// Tail returns the last lines of a log as text, of both streams, cut to the last limit bytes.
func Tail(path string, lines int64, limit int) (string, error) {
	var out bytes.Buffer
	if err := Read(context.Background(), path, Options{Tail: &lines}, &out, &out); err != nil {
		return "", err
	}
	text := out.Bytes()
	return string(text[max(0, len(text)-limit):]), nil
}
