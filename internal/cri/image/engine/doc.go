// Package engine serves an image store over HTTP on a unix socket, and is the client of that.
//
// The routes and bodies are those of the Docker Engine API for images (docs.docker.com/reference/api/engine), so that
// Docker's own clients can be pointed at the socket:
//
//	docker -H unix:///run/mayfly/image.sock image ls
//
// What goes beyond that API: load takes a tag, and names in its messages what it loaded.
//
// Start at Handler for the server's side, at Client for the other.
package engine
