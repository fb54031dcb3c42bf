package standin

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// The scope of the stand-in's signatures.
const (
	Region  = "us-east-1"
	Service = "aws-mcp"
)

// sessionHeader carries the access key of the verified role session from the check to
// the tools.
const sessionHeader = "Standin-Role-Session"

// MCPServer is an MCP server of the official SDK behind a check of signatures.
type MCPServer struct {
	// URL is the endpoint, with path /mcp, set by NewMCPServer.
	URL    string
	Faults faults
	// Verified counts requests whose signature was good, Refused the others.
	Verified atomic.Int64
	Refused  atomic.Int64
	// Seen is called with each request before it is checked; it may be nil.
	Seen func(*http.Request)
	// Account is what scripts call.
	Account *Account

	sts     *STS
	sandbox *sandbox
	scripts tasks
	handler http.Handler
	server  *httptest.Server
}

// MCPOptions configure NewMCPServer.
type MCPOptions struct {
	// STS knows the credentials; nil turns verification off.
	STS *STS
	// Stateless serves protocol 2026-07-28 instead of sessions.
	Stateless bool
	// AWSOnly leaves out what tests need and AWS's server does not have.
	AWSOnly bool
	// JSON answers with application/json instead of an event stream.
	JSON bool
	// TaskAfter is how long a script may take before it becomes a task; 0 is for ever.
	TaskAfter time.Duration
}

// NewMCPServer serves on a loopback port.
func NewMCPServer(options MCPOptions) *MCPServer {
	s := NewUnservedMCPServer(options)
	s.server = httptest.NewServer(s.Handler())
	s.URL = s.server.URL + "/mcp"
	return s
}

// NewUnservedMCPServer is a server whose Handler is served somewhere else.
func NewUnservedMCPServer(options MCPOptions) *MCPServer {
	account := NewAccount()
	s := &MCPServer{
		Account: account, sts: options.STS, sandbox: &sandbox{account: account},
		scripts: tasks{after: options.TaskAfter},
	}
	server := mcp.NewServer(&mcp.Implementation{Name: "aws-standin", Version: "1"}, &mcp.ServerOptions{})
	s.addAWSTools(server)
	if !options.AWSOnly {
		addTestTools(server)
	}
	handler := mcp.NewStreamableHTTPHandler(
		func(*http.Request) *mcp.Server { return server },
		&mcp.StreamableHTTPOptions{
			Stateless:                  options.Stateless,
			JSONResponse:               options.JSON,
			DisableLocalhostProtection: true,
		},
	)
	mux := http.NewServeMux()
	mux.Handle("/mcp", s.verified(options.STS, handler))
	s.handler = mux
	return s
}

// Plant leaves a Python module in the sandbox of scripts.
func (s *MCPServer) Plant(module, code string) error { return s.sandbox.plant(module, code) }

// Handler serves the endpoint, with path /mcp.
func (s *MCPServer) Handler() http.Handler { return s.handler }

// Close stops serving.
func (s *MCPServer) Close() {
	s.sandbox.close()
	s.server.CloseClientConnections()
	s.server.Close()
}

func (s *MCPServer) verified(sts *STS, next http.Handler) http.Handler {
	verifier := &Verifier{STS: sts, Region: Region, Service: Service}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.Seen != nil {
			s.Seen(r)
		}
		if fault, fails := s.Faults.next(r); fails {
			if fault.Status == http.StatusTooManyRequests {
				w.Header().Set("Retry-After", "7")
			}
			(&refusedSignature{status: fault.Status, code: fault.Code, message: fault.Message}).write(w)
			return
		}
		r.Header.Del(sessionHeader)
		if sts != nil {
			session, refused := verifier.Verify(r)
			if refused != nil {
				s.Refused.Add(1)
				refused.write(w)
				return
			}
			s.Verified.Add(1)
			r.Header.Set(sessionHeader, session.AccessKeyID)
		}
		w.Header().Set("X-Amzn-Requestid", randomHex(8))
		next.ServeHTTP(w, r)
	})
}
