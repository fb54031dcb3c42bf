package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/countersign-io/countersign/e2e/standin"
)

// checkingUpstream is an MCP server behind AWS's signature check that compares who a
// request says it is made for with whose credentials it is signed with.
type checkingUpstream struct {
	verifier *standin.Verifier
	// latency comes before each answer.
	latency atomic.Int64
	// ahead is set while AWS's clock is too far ahead for any signature.
	ahead atomic.Bool
	// checkEvery above one has one request in so many checked.
	checkEvery atomic.Int64

	requests, unsigned, asAnother, expired atomic.Int64

	mu       sync.Mutex
	problems []string
}

func (u *checkingUpstream) note(format string, args ...any) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.problems) < 5 {
		u.problems = append(u.problems, fmt.Sprintf(format, args...))
	}
}

// ServeHTTP implements http.Handler.
func (u *checkingUpstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if n, every := u.requests.Add(1), u.checkEvery.Load(); every > 1 && n%every != 0 {
		u.pass(w, r)
		return
	}
	session, refused := u.verifier.Verify(r)
	switch {
	case refused == nil:
	case refused.Code() == "ExpiredTokenException":
		u.expired.Add(1)
		w.Header().Set("X-Amzn-Errortype", refused.Code())
		http.Error(w, `{"__type":"ExpiredTokenException"}`, http.StatusForbidden)
		return
	default:
		u.unsigned.Add(1)
		u.note("%s: %s", refused.Code(), r.Header.Get("Authorization"))
		http.Error(w, "unsigned", http.StatusForbidden)
		return
	}
	if u.ahead.Load() {
		w.Header().Set("X-Amzn-Errortype", "InvalidSignatureException")
		http.Error(w, `{"message":"Signature expired"}`, http.StatusForbidden)
		return
	}
	if who := u.pass(w, r); who != "" && who != session.Subject {
		u.asAnother.Add(1)
		u.note("a request of %s is signed for %s", who, session.Subject)
	}
}

// pass answers a call, and gives the name that its arguments say.
func (u *checkingUpstream) pass(w http.ResponseWriter, r *http.Request) string {
	var message struct {
		ID     json.RawMessage `json:"id"`
		Params struct {
			Arguments struct {
				Who string `json:"who"`
			} `json:"arguments"`
		} `json:"params"`
	}
	body, err := io.ReadAll(r.Body)
	if err != nil || json.Unmarshal(body, &message) != nil {
		return "" // a connection that was cut
	}
	who := message.Params.Arguments.Who
	time.Sleep(time.Duration(u.latency.Load()))
	w.Header().Set("Content-Type", "application/json")
	_, _ = fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"result":{"content":[{"type":"text","text":"%s"}]}}`,
		message.ID, who+strings.Repeat(".", 200))
	return who
}
