package contract

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

const namespace = "/api/v1/namespaces/cases"

// server is the API server under test.
type server struct {
	host   string
	client *http.Client
}

func connect(kubeconfig string) (*server, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, err
	}
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, err
	}
	client.Timeout = 30 * time.Second
	return &server{host: config.Host, client: client}, nil
}

func (s *server) send(method, path, contentType string, body []byte) (int, map[string]any, error) {
	var reader io.Reader
	if body != nil {
		reader = bytes.NewReader(body)
	}
	r, err := http.NewRequest(method, s.host+path, reader)
	if err != nil {
		return 0, nil, err
	}
	r.Header.Set("Accept", "application/json")
	if body != nil {
		r.Header.Set("Content-Type", contentType)
	}
	response, err := s.client.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, nil, err
	}
	var object map[string]any
	if err := json.Unmarshal(data, &object); err != nil {
		object = map[string]any{"message": string(data)}
	}
	return response.StatusCode, object, nil
}

// prepare stores what the recorded requests rely on.
func (s *server) prepare(pods map[string]json.RawMessage) error {
	const asJSON = "application/json"
	if err := s.expect(http.StatusCreated, http.MethodPost, "/api/v1/namespaces", asJSON, []byte(`{"metadata":{"name":"cases"}}`)); err != nil {
		return err
	}
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		err := s.expect(http.StatusOK, http.MethodGet, namespace+"/serviceaccounts/default", "", nil)
		if err == nil {
			break
		}
		if time.Now().After(end) {
			return err
		}
	}
	for _, pod := range pods {
		if err := s.expect(http.StatusCreated, http.MethodPost, namespace+"/pods", asJSON, pod); err != nil {
			return err
		}
	}
	return s.expect(http.StatusOK, http.MethodPatch, namespace+"/pods/used/ephemeralcontainers",
		"application/strategic-merge-patch+json", []byte(`{"spec":{"ephemeralContainers":[{"name":"dbg","image":"busybox"}]}}`))
}

func (s *server) expect(want int, method, path, contentType string, body []byte) error {
	code, object, err := s.send(method, path, contentType, body)
	if err != nil {
		return err
	}
	if code != want {
		return fmt.Errorf("%s %s: %d, want %d: %v", method, path, code, want, object["message"])
	}
	return nil
}

// verdict sends a recorded request and reduces the answer to what is recorded of the reference's.
func (s *server) verdict(r request) (map[string]any, error) {
	body, err := s.body(r)
	if err != nil {
		return nil, err
	}
	code, object, err := s.send(r.Method, r.Path, r.ContentType, body)
	if err != nil {
		return nil, err
	}
	v := map[string]any{"code": float64(code)}
	kind, _ := object["kind"].(string)
	switch {
	case code >= 400:
		v["reason"], v["message"], v["fields"] = object["reason"], object["message"], refused(object)
	case kind == "Pod":
		metadata, _ := object["metadata"].(map[string]any)
		v["kind"], v["spec"], v["status"], v["labels"] = kind, object["spec"], object["status"], metadata["labels"]
	case strings.HasSuffix(kind, "List"):
		v["kind"], v["names"] = kind, names(object)
	default:
		v["kind"] = object["kind"]
	}
	// Through JSON once, so that lists and maps have the types of the recorded ones.
	data, err := json.Marshal(scrub(v))
	if err != nil {
		return nil, err
	}
	var plain map[string]any
	return plain, json.Unmarshal(data, &plain)
}

func (s *server) body(r request) ([]byte, error) {
	if r.Put == "" {
		return raw(r.Body)
	}
	_, stored, err := s.send(http.MethodGet, namespace+"/pods/"+r.Put, "", nil)
	if err != nil {
		return nil, err
	}
	spec, ok := stored["spec"].(map[string]any)
	if !ok {
		return nil, fmt.Errorf("the stored Pod %s is missing: %v", r.Put, stored["message"])
	}
	for field, value := range r.Merge {
		spec[field] = value
	}
	return json.Marshal(stored)
}

// raw turns a recorded body into bytes.
func raw(body json.RawMessage) ([]byte, error) {
	if len(body) == 0 || string(body) == "null" {
		return nil, nil
	}
	if body[0] != '"' {
		return body, nil
	}
	var text string
	if err := json.Unmarshal(body, &text); err != nil {
		return nil, err
	}
	data := make([]byte, 0, len(text))
	for _, character := range text {
		data = append(data, byte(character))
	}
	return data, nil
}

// refused lists the fields that a Status blames, sorted, each once.
func refused(status map[string]any) []string {
	details, _ := status["details"].(map[string]any)
	causes, _ := details["causes"].([]any)
	fields := []string{}
	for _, cause := range causes {
		field, _ := cause.(map[string]any)["field"].(string)
		fields = append(fields, field)
	}
	slices.Sort(fields)
	return slices.Compact(fields)
}

func names(list map[string]any) []string {
	items, _ := list["items"].([]any)
	found := []string{}
	for _, item := range items {
		metadata, _ := item.(map[string]any)["metadata"].(map[string]any)
		name, _ := metadata["name"].(string)
		found = append(found, name)
	}
	slices.Sort(found)
	return found
}

// scrub takes away what differs from one run to the next.
func scrub(value any) any {
	switch value := value.(type) {
	case map[string]any:
		clean := make(map[string]any, len(value))
		for key, inner := range value {
			switch key {
			case "uid", "resourceVersion", "creationTimestamp", "managedFields", "selfLink", "deletionTimestamp":
			default:
				clean[key] = scrub(inner)
			}
		}
		return clean
	case []any:
		clean := make([]any, len(value))
		for i, inner := range value {
			clean[i] = scrub(inner)
		}
		return clean
	default:
		return value
	}
}
