package engine

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/containerd/errdefs"
	"github.com/containerd/errdefs/pkg/errhttp"

	"github.com/mayfly-run/mayfly/internal/cri/image"
)

// message is a line of a progress stream.
type message struct {
	Status   string    `json:"status,omitempty"`
	ID       string    `json:"id,omitempty"`
	Detail   *detail   `json:"progressDetail,omitempty"`
	Stream   string    `json:"stream,omitempty"`
	Error    string    `json:"error,omitempty"`
	Why      *failure  `json:"errorDetail,omitempty"`
	Imported *imported `json:"aux,omitempty"`
}

type detail struct {
	Current int64 `json:"current,omitempty"`
	Total   int64 `json:"total,omitempty"`
}

type failure struct {
	// Code is the HTTP status that the failure would have had, had the answer not begun.
	Code    int    `json:"code,omitempty"`
	Message string `json:"message"`
}

type imported struct {
	ID    string   `json:"ID"`
	Names []string `json:"Names,omitempty"`
}

// summary is an image of GET /images/json.
type summary struct {
	ID          string            `json:"Id"`
	ParentID    string            `json:"ParentId"`
	RepoTags    []string          `json:"RepoTags"`
	RepoDigests []string          `json:"RepoDigests"`
	Created     int64             `json:"Created"`
	Size        int64             `json:"Size"`
	SharedSize  int64             `json:"SharedSize"`
	Labels      map[string]string `json:"Labels"`
	Containers  int               `json:"Containers"`
}

// removal is a line of the answer to DELETE /images/{name}.
type removal struct {
	Untagged string `json:"Untagged,omitempty"`
	Deleted  string `json:"Deleted,omitempty"`
}

// auth is the X-Registry-Auth header, base64url-encoded JSON.
type auth struct {
	Username      string `json:"username,omitempty"`
	Password      string `json:"password,omitempty"`
	Auth          string `json:"auth,omitempty"`
	ServerAddress string `json:"serveraddress,omitempty"`
	IdentityToken string `json:"identitytoken,omitempty"`
}

func status(err error) int {
	if errdefs.IsResourceExhausted(err) {
		return http.StatusInsufficientStorage
	}
	return errhttp.ToHTTP(err)
}

// remote is an error that came over the socket, with its class.
func remote(code int, text string) error {
	class := errhttp.ToNative(code)
	if code == http.StatusInsufficientStorage {
		class = errdefs.ErrResourceExhausted
	}
	return failed{text, class}
}

type failed struct {
	text  string
	class error
}

func (f failed) Error() string { return f.text }
func (f failed) Unwrap() error { return f.class }

func (a auth) credentials() image.Credentials {
	return image.Credentials{Username: a.Username, Password: a.Password, Auth: a.Auth, IdentityToken: a.IdentityToken, ServerAddress: a.ServerAddress}
}

// errStream says that an answer ended without telling how the work did.
var errStream = errors.New("mayfly stopped in the middle of the answer; look at its log and try again")

func describe(err error) message {
	return message{Error: err.Error(), Why: &failure{Code: status(err), Message: err.Error()}}
}

func loaded(i image.Imported) message {
	what := "ID: " + i.ID
	if len(i.Names) > 0 {
		what = ": " + image.Familiar(i.Names[0])
	}
	return message{Stream: fmt.Sprintf("Loaded image%s\n", what), Imported: &imported{i.ID, i.Names}}
}
