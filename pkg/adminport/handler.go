// Package adminport serves the sidecar's admin port: health, metrics, and on loopback its
// status and a page about it. The app of the Pod shares that loopback, so everything beyond
// numbers needs a token which only the sidecar's container can read.
package adminport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/countersign-io/countersign/pkg/audit"
	"github.com/countersign-io/countersign/pkg/authorize"
	"github.com/countersign-io/countersign/pkg/liveconfig"
	"github.com/countersign-io/countersign/pkg/policy"
	"github.com/countersign-io/countersign/pkg/proxy"
	"github.com/countersign-io/countersign/pkg/telemetry"
)

const (
	// maxQuestion bounds the body of a question.
	maxQuestion = 512 << 10
	// maxQuestions bounds the questions that are answered at once; others get 503.
	maxQuestions = 2
	// questionTime bounds how long answering one may take.
	questionTime = 10 * time.Second
)

// Options are what the port tells about.
type Options struct {
	Configs *liveconfig.Store
	Metrics *telemetry.Metrics
	Recent  *audit.Recent
	Denials *authorize.Denials
	// CredentialCacheSize gives the number of role sessions in the cache.
	CredentialCacheSize func() int
	// Token opens more than numbers.
	Token   Token
	Version string
	Pod     policy.Pod
}

type handler struct {
	options   Options
	started   time.Time
	questions chan struct{}
}

// NewHandler serves the port.
func NewHandler(options Options) http.Handler {
	h := &handler{options: options, started: time.Now(), questions: make(chan struct{}, maxQuestions)}
	mux := http.NewServeMux()
	ok := func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok")) }
	mux.HandleFunc("GET /healthz", ok)
	// Ready means that an auth-config is in use and requests are accepted; it
	// depends on no network, so that an outage elsewhere restarts nobody.
	mux.HandleFunc("GET /readyz", ok)
	mux.Handle("GET /metrics", options.Metrics.Handler())
	mux.HandleFunc("GET /status", onLoopback(func(w http.ResponseWriter, r *http.Request) {
		answer(w, h.status(options.Token.admits(r)))
	}))
	mux.HandleFunc("GET /{$}", onLoopback(h.servePage))
	mux.HandleFunc("GET /decisions", h.withToken(h.serveDecisions))
	mux.HandleFunc("GET /policies", h.withToken(h.servePolicies))
	mux.HandleFunc("GET /why/{id}", h.withToken(h.serveWhy))
	mux.HandleFunc("POST /what-if", h.withToken(h.serveWhatIf))
	return mux
}

// onLoopback refuses other peers than this Pod's, and names that a browser resolved to
// loopback for a page of somebody else's.
func onLoopback(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !isLoopbackPeer(r.RemoteAddr) || !proxy.IsLoopbackHost(r.Host) {
			http.Error(w, "this is shown on loopback only", http.StatusForbidden)
			return
		}
		next(w, r)
	}
}

// withToken asks for the token, and that a page which sends something is of this very origin.
func (h *handler) withToken(next http.HandlerFunc) http.HandlerFunc {
	return onLoopback(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case !isSameOrigin(r):
			http.Error(w, "another page may not ask this", http.StatusForbidden)
		case !h.options.Token.admits(r):
			w.Header().Set("WWW-Authenticate", "Bearer")
			http.Error(w, "this needs the token that `sidecar admin-token` prints in the sidecar's container",
				http.StatusUnauthorized)
		default:
			next(w, r)
		}
	})
}

// isSameOrigin reports whether no page of another origin sends the request.
func isSameOrigin(r *http.Request) bool {
	origins := r.Header.Values("Origin")
	switch {
	case len(origins) == 0:
		site := r.Header.Get("Sec-Fetch-Site")
		return site == "" || site == "same-origin" || site == "none"
	case len(origins) > 1:
		return false
	}
	origin, err := url.Parse(origins[0])
	return err == nil && origin.Scheme == "http" && strings.EqualFold(origin.Host, r.Host)
}

func isLoopbackPeer(remote string) bool {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		return false
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}

func answer(w http.ResponseWriter, document any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if err := json.MarshalWrite(w, document, json.Deterministic(true)); err != nil {
		return // the client is gone
	}
	_, _ = w.Write([]byte("\n"))
}

// Decisions are the newest decision records, oldest first.
type Decisions struct {
	Records []jsontext.Value `json:"records"`
	// Next is what to ask for with ?after= to get those that come behind these.
	Next uint64 `json:"next"`
}

func (h *handler) serveDecisions(w http.ResponseWriter, r *http.Request) {
	var from uint64
	if text := r.URL.Query().Get("after"); text != "" {
		var err error
		if from, err = strconv.ParseUint(text, 10, 64); err != nil {
			http.Error(w, "after is not a number", http.StatusBadRequest)
			return
		}
	}
	lines, next := h.options.Recent.After(from)
	decisions := Decisions{Records: make([]jsontext.Value, len(lines)), Next: next}
	for i, line := range lines {
		decisions.Records[i] = line
	}
	answer(w, decisions)
}

func (h *handler) servePolicies(w http.ResponseWriter, _ *http.Request) {
	policies := h.options.Configs.Current().Config.Authorizer.Policies()
	if policies == nil {
		policies = []policy.Text{}
	}
	answer(w, policies)
}

// ask bounds how many questions are answered at once, and how long one takes.
func (h *handler) ask(w http.ResponseWriter, r *http.Request, question func(ctx context.Context) (any, error)) {
	select {
	case h.questions <- struct{}{}:
		defer func() { <-h.questions }()
	default:
		w.Header().Set("Retry-After", "1")
		http.Error(w, "other questions are being answered", http.StatusServiceUnavailable)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), questionTime)
	defer cancel()
	document, err := question(ctx)
	if err == nil {
		answer(w, document)
		return
	}
	status := http.StatusBadRequest
	if errors.Is(err, errNotFound) {
		status = http.StatusNotFound
	}
	http.Error(w, err.Error(), status)
}

func readQuestion(r *http.Request, into any) error {
	text, err := io.ReadAll(io.LimitReader(r.Body, maxQuestion+1))
	if err != nil {
		return fmt.Errorf("read the question: %w", err)
	}
	if len(text) > maxQuestion {
		return fmt.Errorf("the question is longer than %d bytes", maxQuestion)
	}
	if err := json.Unmarshal(text, into, json.RejectUnknownMembers(true)); err != nil {
		return fmt.Errorf("the question is not what is expected: %w", err)
	}
	return nil
}
