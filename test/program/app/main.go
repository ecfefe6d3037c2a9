// Command app is what runs in the test images that have no shell: one static program that can serve, sleep, crash,
// write a flood, or tell what it was given.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	verbs := map[string]func(args []string) error{
		"serve": serve, "sleep": sleep, "crash": crash, "flood": flood, "tell": tell, "tick": tick, "get": get,
	}
	if len(os.Args) < 2 || verbs[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: app serve|sleep|crash|flood|tell|tick|get")
		os.Exit(2)
	}
	if err := verbs[os.Args[1]](os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, "app:", err)
		os.Exit(1)
	}
}

// argument is the n-th of args, or otherwise.
func argument(args []string, n int, otherwise string) string {
	if n < len(args) {
		return args[n]
	}
	return otherwise
}

// serve answers HTTP at an address, :8080 by default, with one line that names the host and the path.
func serve(args []string) error {
	address := argument(args, 0, ":8080")
	host, err := os.Hostname()
	if err != nil {
		return err
	}
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		log.Printf("%s %s", r.Method, r.URL.Path)
		n, _ := io.Copy(io.Discard, r.Body)
		fmt.Fprintf(w, "hello from %s, %s %s with %d bytes\n", host, r.Method, r.URL.Path, n)
	})
	log.Printf("listening on %s", address)
	return http.ListenAndServe(address, nil)
}

// get fetches a URL and prints the answer's body; Debian's static busybox cannot, since its wget resolves names by the
// C library, which takes shared objects.
func get(args []string) error {
	client := http.Client{Timeout: 10 * time.Second}
	response, err := client.Get(argument(args, 0, "http://127.0.0.1:8080/"))
	if err != nil {
		return err
	}
	defer response.Body.Close()
	_, err = io.Copy(os.Stdout, response.Body)
	return err
}

// sleep waits for a signal to end.
func sleep([]string) error {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	fmt.Println("sleeping")
	fmt.Println("ended by", <-signals)
	return nil
}

// crash ends with a code, 3 by default, after a wait if one is given, and leaves a file behind for whoever looks.
func crash(args []string) error {
	code, err := strconv.Atoi(argument(args, 0, "3"))
	if err != nil {
		return err
	}
	wait, err := time.ParseDuration(argument(args, 1, "0s"))
	if err != nil {
		return err
	}
	fmt.Println("starting up")
	time.Sleep(wait)
	fmt.Fprintln(os.Stderr, "fatal: cannot open /etc/app/config.yaml: no such file")
	os.Exit(code)
	return nil
}

// flood writes megabytes to standard output as fast as they are read.
func flood(args []string) error {
	megabytes, err := strconv.Atoi(argument(args, 0, "64"))
	if err != nil {
		return err
	}
	block := []byte(strings.Repeat(strings.Repeat("x", 127)+"\n", 8192))
	for range megabytes {
		if _, err := os.Stdout.Write(block); err != nil {
			return err
		}
	}
	return nil
}

// tick prints a numbered line at an interval, 100ms by default.
func tick(args []string) error {
	interval, err := time.ParseDuration(argument(args, 0, "100ms"))
	if err != nil {
		return err
	}
	for n := 1; ; n++ {
		fmt.Println("tick", n)
		time.Sleep(interval)
	}
}

// tell prints as JSON what the process was given.
func tell(args []string) error {
	dir, err := os.Getwd()
	if err != nil {
		return err
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(map[string]any{
		"args": args, "dir": dir, "env": os.Environ(), "uid": os.Getuid(), "gid": os.Getgid(), "status": string(status),
	})
}
