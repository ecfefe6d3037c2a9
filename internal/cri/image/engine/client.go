package engine

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/mayfly-run/mayfly/internal/cri/image"
)

// Client speaks to a running Mayfly. Its errors have the classes of the store's.
type Client struct{ http *http.Client }

// NewClient returns a client for the socket. It does not connect yet.
func NewClient(socket string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}
	return &Client{&http.Client{Transport: &http.Transport{DialContext: dial}}}
}

// Close ends idle connections.
func (c *Client) Close() error {
	c.http.CloseIdleConnections()
	return nil
}

func (c *Client) do(ctx context.Context, method, path string, query url.Values, body io.Reader, header http.Header) (*http.Response, error) {
	u := url.URL{Scheme: "http", Host: "mayfly", Path: "/v" + apiVersion + path, RawQuery: query.Encode()}
	req, err := http.NewRequestWithContext(ctx, method, u.String(), body)
	if err != nil {
		return nil, err
	}
	for k, v := range header {
		req.Header[k] = v
	}
	resp, err := c.http.Do(req)
	if err != nil {
		var wrapped *url.Error
		if errors.As(err, &wrapped) {
			err = wrapped.Err // the URL says nothing to a user
		}
		return nil, err
	}
	if resp.StatusCode < http.StatusBadRequest {
		return resp, nil
	}
	defer resp.Body.Close()
	var answer struct {
		Message string `json:"message"`
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&answer); err != nil || answer.Message == "" {
		answer.Message = resp.Status
	}
	return nil, remote(resp.StatusCode, answer.Message)
}

// Ping tells whether the socket answers.
func (c *Client) Ping(ctx context.Context) error {
	resp, err := c.do(ctx, http.MethodGet, "/_ping", nil, nil, nil)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// lines reads a progress stream to its end.
func lines(body io.ReadCloser, each func(message)) error {
	defer body.Close()
	decoder := json.NewDecoder(body)
	for {
		var m message
		err := decoder.Decode(&m)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("%w (%v)", errStream, err)
		case m.Why != nil:
			return remote(m.Why.Code, m.Why.Message)
		}
		each(m)
	}
}

// Import is image.Store's.
func (c *Client) Import(ctx context.Context, r io.Reader, o image.ImportOptions) (list []image.Imported, _ error) {
	query := url.Values{}
	if o.Tag != "" {
		query.Set("tag", o.Tag)
	}
	resp, err := c.do(ctx, http.MethodPost, "/images/load", query, r, http.Header{"Content-Type": {"application/x-tar"}})
	if err != nil {
		return nil, err
	}
	err = lines(resp.Body, func(m message) {
		if m.Imported != nil {
			list = append(list, image.Imported{ID: m.Imported.ID, Names: m.Imported.Names})
		}
	})
	if err == nil && len(list) == 0 {
		err = errStream
	}
	return list, err
}

// Pull is image.Store's.
func (c *Client) Pull(ctx context.Context, ref string, cred image.Credentials, progress func(image.Progress)) (id string, _ error) {
	data, err := json.Marshal(auth{cred.Username, cred.Password, cred.Auth, cred.ServerAddress, cred.IdentityToken})
	if err != nil {
		return "", fmt.Errorf("encode credentials: %w", err)
	}
	header := http.Header{"X-Registry-Auth": {base64.URLEncoding.EncodeToString(data)}}
	resp, err := c.do(ctx, http.MethodPost, "/images/create", url.Values{"fromImage": {ref}}, nil, header)
	if err != nil {
		return "", err
	}
	err = lines(resp.Body, func(m message) {
		switch {
		case m.Imported != nil:
			id = m.Imported.ID
		case progress != nil:
			p := image.Progress{ID: m.ID, Status: m.Status}
			if m.Detail != nil {
				p.Current, p.Total = m.Detail.Current, m.Detail.Total
			}
			progress(p)
		}
	})
	if err == nil && id == "" {
		err = errStream
	}
	return id, err
}

// List is image.Store's.
func (c *Client) List(ctx context.Context) ([]image.Summary, error) {
	resp, err := c.do(ctx, http.MethodGet, "/images/json", nil, nil, nil)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var wire []summary
	if err := json.NewDecoder(resp.Body).Decode(&wire); err != nil {
		return nil, fmt.Errorf("decode list of images: %w", err)
	}
	var list []image.Summary
	for _, s := range wire {
		item := image.Summary{ID: s.ID, Size: s.Size, Labels: s.Labels, Containers: s.Containers}
		item.RepoTags, item.RepoDigests = full(s.RepoTags), full(s.RepoDigests)
		if s.Created != 0 {
			item.Created = time.Unix(s.Created, 0).UTC()
		}
		list = append(list, item)
	}
	return list, nil
}

func full(names []string) (list []string) {
	for _, name := range names {
		if normal, err := image.Normalize(name); err == nil {
			name = normal
		}
		list = append(list, name)
	}
	return list
}

// Untag is image.Store's.
func (c *Client) Untag(ctx context.Context, ref string) (removed image.Removed, _ error) {
	resp, err := c.do(ctx, http.MethodDelete, "/images/"+ref, nil, nil, nil)
	if err != nil {
		return removed, err
	}
	defer resp.Body.Close()
	var wire []removal
	if err := json.NewDecoder(resp.Body).Decode(&wire); err != nil {
		return removed, fmt.Errorf("decode removed images: %w", err)
	}
	for _, r := range wire {
		if r.Untagged != "" {
			removed.Names = append(removed.Names, full([]string{r.Untagged})...)
		}
		if r.Deleted != "" {
			removed.ID = r.Deleted
		}
	}
	return removed, nil
}

// Export is image.Store's.
func (c *Client) Export(ctx context.Context, w io.Writer, refs ...string) error {
	resp, err := c.do(ctx, http.MethodGet, "/images/get", url.Values{"names": refs}, nil, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(w, resp.Body); err != nil {
		return fmt.Errorf("receive archive: %w", err)
	}
	return nil
}
