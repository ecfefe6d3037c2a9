// Command guest is what the suite's images run beside Busybox, by the name that it is called: "nginx" and "httpd" are web
// servers, "nnp" prints its effective user.
package main

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
)

// page is what the suite looks for.
const page = "<html><title>Welcome to nginx!</title></html>\n"

// pidFile is where nginx writes its process number.
const pidFile = "/var/run/nginx.pid"

func main() {
	switch name := filepath.Base(os.Args[0]); name {
	case "nnp":
		fmt.Printf("Effective uid: %d\n", os.Geteuid())
	case "nginx", "httpd":
		if err := serve(name, os.Getenv("PORT")); err != nil {
			log.Fatal(err)
		}
	default:
		log.Fatalf("no program of the name %q", name)
	}
}

func serve(name, port string) error {
	if err := os.MkdirAll(filepath.Dir(pidFile), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(pidFile, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o644); err != nil {
		return err
	}
	log.Print(name)
	return http.ListenAndServe(":"+port, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		log.Printf("%s %s", r.Method, r.URL)
		_, _ = io.WriteString(w, page)
	}))
}
