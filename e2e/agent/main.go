// Command agent is an MCP client that knows the URL of an MCP server and nothing
// of Countersign. It calls one tool and exits, or serves a port on which a test
// tells it what to do.
package main

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

func main() {
	url := flag.String("url", "", "the MCP server")
	call := flag.String("call", "", "call this tool, print the answer and exit")
	token := flag.String("token", "", "bearer token")
	flag.Parse()
	if *url == "" {
		*url = os.Getenv("AWS_MCP_URL")
	}
	if *call != "" {
		answer, err := talk(context.Background(), *url, *token, *call, nil)
		if err != nil {
			fmt.Fprintln(os.Stderr, "agent:", err)
			os.Exit(1)
		}
		_ = json.NewEncoder(os.Stdout).Encode(answer)
		return
	}
	if err := serve(*url); err != nil {
		fmt.Fprintln(os.Stderr, "agent:", err)
		os.Exit(1)
	}
}

// conversation is what the client learned.
type conversation struct {
	Tools []string `json:"tools"`
	Text  string   `json:"text"`
	Error string   `json:"error,omitempty"`
}

type bearer struct {
	token string
	next  http.RoundTripper
}

// RoundTrip adds the user's token.
func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	if b.token != "" {
		r = r.Clone(r.Context())
		r.Header.Set("Authorization", "Bearer "+b.token)
	}
	return b.next.RoundTrip(r)
}

func talk(ctx context.Context, url, token, tool string, arguments any) (*conversation, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	session, err := connect(ctx, url, token)
	if err != nil {
		return nil, err
	}
	defer func() { _ = session.Close() }()
	return converse(ctx, session, tool, arguments)
}

func connect(ctx context.Context, url, token string) (*mcp.ClientSession, error) {
	client := mcp.NewClient(&mcp.Implementation{Name: "agent", Version: "1"}, nil)
	session, err := client.Connect(ctx, &mcp.StreamableClientTransport{
		Endpoint: url, HTTPClient: &http.Client{Transport: bearer{token, http.DefaultTransport}},
		DisableStandaloneSSE: true,
	}, nil)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	return session, nil
}

func converse(ctx context.Context, session *mcp.ClientSession, tool string, arguments any) (*conversation, error) {
	answer := &conversation{}
	list, err := session.ListTools(ctx, nil)
	if err != nil {
		return nil, fmt.Errorf("list tools: %w", err)
	}
	for _, t := range list.Tools {
		answer.Tools = append(answer.Tools, t.Name)
	}
	if arguments == nil {
		arguments = map[string]any{}
	}
	result, err := session.CallTool(ctx, &mcp.CallToolParams{Name: tool, Arguments: arguments})
	if err != nil {
		answer.Error = err.Error()
		return answer, nil //nolint:nilerr // the answer says it
	}
	for _, content := range result.Content {
		if text, ok := content.(*mcp.TextContent); ok {
			answer.Text += text.Text
		}
	}
	return answer, nil
}

// held are sessions that stay open between calls, by name.
type held struct {
	url      string
	mu       sync.Mutex
	sessions map[string]*mcp.ClientSession
}

// talk uses the session of that name, and opens it the first time.
func (h *held) talk(ctx context.Context, name, token, tool string, arguments any) (*conversation, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	session := h.sessions[name]
	if session == nil {
		var err error
		// It outlives the request that opens it.
		if session, err = connect(context.WithoutCancel(ctx), h.url, token); err != nil {
			return nil, err
		}
		h.sessions[name] = session
	}
	// Behind a Service the next call may reach another replica.
	http.DefaultClient.CloseIdleConnections()
	return converse(ctx, session, tool, arguments)
}

func serve(url string) error {
	mux := http.NewServeMux()
	sessions := &held{url: url, sessions: map[string]*mcp.ClientSession{}}
	mux.HandleFunc("POST /call", func(w http.ResponseWriter, r *http.Request) {
		var request struct {
			Token, Tool string
			Arguments   map[string]any
			// Session names one that stays open between calls; empty opens one for
			// this call.
			Session string
		}
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(&request); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		var answer *conversation
		var err error
		if request.Session != "" {
			answer, err = sessions.talk(r.Context(), request.Session, request.Token, request.Tool, request.Arguments)
		} else {
			answer, err = talk(r.Context(), url, request.Token, request.Tool, request.Arguments)
		}
		if err != nil {
			answer = &conversation{Error: err.Error()}
		}
		_ = json.NewEncoder(w).Encode(answer)
	})
	// What any program in the container can do.
	mux.HandleFunc("GET /fetch", func(w http.ResponseWriter, r *http.Request) { fetch(w, r.FormValue("url")) })
	mux.HandleFunc("GET /download", func(w http.ResponseWriter, r *http.Request) { download(w, r.FormValue("url")) })
	mux.HandleFunc(
		"GET /challenge",
		func(w http.ResponseWriter, r *http.Request) { challenge(w, r.FormValue("url"), r.FormValue("host")) },
	)
	mux.HandleFunc("GET /files", func(w http.ResponseWriter, r *http.Request) { files(w, r.FormValue("dir")) })
	mux.HandleFunc("GET /get", func(w http.ResponseWriter, r *http.Request) { get(w, r.FormValue("url")) })
	mux.HandleFunc(
		"GET /processes",
		func(w http.ResponseWriter, r *http.Request) { processes(w, r.FormValue("program")) },
	)
	mux.HandleFunc("POST /assume", assume)
	mux.HandleFunc("POST /kill", func(w http.ResponseWriter, r *http.Request) { kill(w, r.FormValue("program")) })
	mux.HandleFunc("GET /ready", func(http.ResponseWriter, *http.Request) {})
	return (&http.Server{Addr: ":8080", Handler: mux, ReadHeaderTimeout: 10 * time.Second}).ListenAndServe()
}

// fetch tells what certificate a server shows, whoever signed it.
func fetch(w http.ResponseWriter, url string) {
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	answer, err := (&http.Client{Transport: transport, Timeout: 20 * time.Second}).Get(url)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer func() { _ = answer.Body.Close() }()
	text, _ := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	chain := answer.TLS.PeerCertificates
	root := sha256.Sum256(chain[len(chain)-1].Raw)
	_ = json.NewEncoder(w).
		Encode(map[string]any{
			"status": answer.StatusCode, "body": string(text),
			"issuer": chain[0].Issuer.CommonName, "root": hex.EncodeToString(root[:]),
		})
}

// download tells how many MiB a second come from a URL.
func download(w http.ResponseWriter, url string) {
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	defer transport.CloseIdleConnections()
	begun := time.Now()
	answer, err := (&http.Client{Transport: transport, Timeout: time.Minute}).Get(url)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer func() { _ = answer.Body.Close() }()
	n, err := io.Copy(io.Discard, answer.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	_, _ = fmt.Fprintf(w, "%.1f", float64(n)/(1<<20)/time.Since(begun).Seconds())
}

// challenge asks without a token, as a Gateway for a host would pass it on, and
// tells where a client is sent.
func challenge(w http.ResponseWriter, url, host string) {
	request, err := http.NewRequest(http.MethodPost, url, strings.NewReader("{}"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	request.Host = host
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	_ = answer.Body.Close()
	_, _ = fmt.Fprintf(w, "%d %s", answer.StatusCode, answer.Header.Get("WWW-Authenticate"))
}

// files lists what the container can see and read of a directory.
func files(w http.ResponseWriter, dir string) {
	var readable []string
	_ = filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && isReadable(path) {
			readable = append(readable, path)
		}
		return nil
	})
	_ = json.NewEncoder(w).Encode(readable)
}

func isReadable(path string) bool {
	_, err := os.ReadFile(path)
	return err == nil
}

// assume takes a token to STS, as a hostile agent would, and tells what STS answers, or
// why it cannot be reached. Without a name it connects to the address alone.
func assume(w http.ResponseWriter, r *http.Request) {
	var request struct {
		URL, Role, Token string
		Nameless         bool
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<16)).Decode(&request); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	if request.Nameless {
		// The address stands for the name in the connection, and only there.
		transport.DialTLSContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			raw, err := (&net.Dialer{}).DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return tls.Client(raw, &tls.Config{InsecureSkipVerify: true}), nil
		}
	}
	answer, err := (&http.Client{Transport: transport, Timeout: 20 * time.Second}).PostForm(request.URL, url.Values{
		"Action": {"AssumeRoleWithWebIdentity"}, "RoleArn": {request.Role}, "RoleSessionName": {"agent"},
		"DurationSeconds": {"900"}, "WebIdentityToken": {request.Token},
	})
	if err != nil {
		_, _ = fmt.Fprintf(w, "unreachable: %v", err)
		return
	}
	defer func() { _ = answer.Body.Close() }()
	text, _ := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	_, _ = fmt.Fprintf(w, "%d %s", answer.StatusCode, text)
}

// get passes on what a plain server of the Pod says, headers and all.
func get(w http.ResponseWriter, url string) {
	answer, err := http.DefaultClient.Get(url)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer func() { _ = answer.Body.Close() }()
	_ = answer.Write(w)
}

// processes tells what can be read of each process of a program: its environment,
// memory, open files and file system.
func processes(w http.ResponseWriter, program string) {
	found := map[string][]string{}
	for _, pid := range processesOf(program) {
		dir := "/proc/" + strconv.Itoa(pid)
		open := []string{}
		for _, name := range []string{"environ", "maps", "auxv"} {
			if text, err := os.ReadFile(dir + "/" + name); err == nil && len(text) > 0 {
				open = append(open, name)
			}
		}
		if memory, err := os.Open(dir + "/mem"); err == nil {
			_ = memory.Close()
			open = append(open, "mem")
		}
		if entries, err := os.ReadDir(dir + "/root"); err == nil && len(entries) > 0 {
			open = append(open, "root")
		}
		// Root may see how many files are open; which ones is what matters.
		for _, pattern := range []string{"/fd/*", "/map_files/*"} {
			for _, file := range glob(dir + pattern) {
				if _, err := os.Readlink(file); err == nil {
					open = append(open, file)
				}
			}
		}
		found[strconv.Itoa(pid)] = open
	}
	_ = json.NewEncoder(w).Encode(found)
}

// kill ends a program as the kernel's OOM killer would.
func kill(w http.ResponseWriter, program string) {
	killed := 0
	for _, pid := range processesOf(program) {
		if syscall.Kill(pid, syscall.SIGKILL) == nil {
			killed++
		}
	}
	_, _ = fmt.Fprintln(w, killed)
}

func processesOf(program string) []int {
	var pids []int
	for _, path := range glob("/proc/[0-9]*/cmdline") {
		text, err := os.ReadFile(path)
		if err != nil || !strings.HasPrefix(string(text), program+"\x00") {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path))); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

func glob(pattern string) []string {
	paths, _ := filepath.Glob(pattern)
	return paths
}
