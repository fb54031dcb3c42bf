package http1_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/countersign-io/countersign/pkg/http1"
)

func TestAConnectionIsUsedAgainOnceItsAnswerIsRead(t *testing.T) {
	for name, answer := range map[string]string{
		"with a length": helloAnswer,
		"in chunks":     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
		"with a trailer": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: T\r\n\r\n" +
			"5\r\nhello\r\n0\r\nT: 1\r\n\r\n",
		"after early hints": "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + helloAnswer,
	} {
		t.Run(name, func(t *testing.T) {
			server := newRawServer(t, answering(answer))
			transport := newTransport(t)
			for range 5 {
				mustSay(t, transport, server.url, "hello")
			}
			if n := server.connections.Load(); n != 1 {
				t.Errorf("%d connections", n)
			}
		})
	}
}

func TestAnAnswerWithoutABodyGivesItsConnectionBackAtOnce(t *testing.T) {
	server := newRawServer(t, answering("HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"))
	transport := newTransport(t)
	for range 3 {
		answer, err := transport.Send(newRequest(t.Context(), t, http.MethodPost, server.url), []byte("{}"), patience)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = answer.Body.Close() }()
	}
	if n := server.connections.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
}

func TestAConnectionEndsWhere(t *testing.T) {
	for name, answer := range map[string]string{
		"the server says so":          "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello",
		"the server speaks HTTP/1.0":  "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello",
		"more than the answer comes":  helloAnswer + "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
		"less than an answer follows": helloAnswer + "H",
	} {
		t.Run(name, func(t *testing.T) {
			server := newRawServer(t, answering(answer))
			transport := newTransport(t)
			for range 3 {
				mustSay(t, transport, server.url, "hello")
			}
			if n := server.connections.Load(); n != 3 {
				t.Errorf("%d connections", n)
			}
		})
	}
}

func TestABodyThatEndsWithItsConnection(t *testing.T) {
	server := newRawServer(t, func(_ int, c net.Conn) {
		_, _, _ = readRequest(bufio.NewReader(c))
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\nhello")
	})
	transport := newTransport(t)
	mustSay(t, transport, server.url, "hello")
	mustSay(t, transport, server.url, "hello")
}

func TestWhatComesLateOnAnIdleConnectionIsNotTakenForAnAnswer(t *testing.T) {
	sent := make(chan struct{}, 2)
	server := newRawServer(t, func(_ int, c net.Conn) {
		reader := bufio.NewReader(c)
		_, _, _ = readRequest(reader)
		_, _ = io.WriteString(c, helloAnswer)
		time.Sleep(20 * time.Millisecond)
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
		sent <- struct{}{}
		_, _, _ = readRequest(reader)
	})
	transport := newTransport(t)
	mustSay(t, transport, server.url, "hello")
	<-sent
	mustSay(t, transport, server.url, "hello")
}

func TestAConnectionThatItsServerClosedIsNotUsed(t *testing.T) {
	closed := make(chan struct{}, 2)
	var requests atomic.Int32
	server := newRawServer(t, func(_ int, c net.Conn) {
		if _, _, ok := readRequest(bufio.NewReader(c)); ok {
			requests.Add(1)
		}
		_, _ = io.WriteString(c, helloAnswer)
		_ = c.Close()
		closed <- struct{}{}
	})
	transport := newTransport(t)
	for range 3 {
		mustSay(t, transport, server.url, "hello")
		<-closed
	}
	if n := requests.Load(); n != 3 {
		t.Errorf("%d requests", n)
	}
}

// A server that closes a connection may have acted on what it read there.
func TestOnlyWhatIsSafeIsSentTwice(t *testing.T) {
	for method, want := range map[string]int32{http.MethodPost: 2, http.MethodDelete: 2, http.MethodGet: 3} {
		t.Run(method, func(t *testing.T) {
			var requests atomic.Int32
			server := newRawServer(t, func(_ int, c net.Conn) {
				reader := bufio.NewReader(c)
				for range 3 {
					if _, _, ok := readRequest(reader); !ok {
						return
					}
					if requests.Add(1) == 2 {
						return // without an answer, on the connection that was used before
					}
					_, _ = io.WriteString(c, helloAnswer)
				}
			})
			transport := newTransport(t)
			mustSay(t, transport, server.url, "hello")
			answer, err := transport.Send(newRequest(t.Context(), t, method, server.url), nil, patience)
			if err == nil {
				_ = answer.Body.Close()
			}
			if (err == nil) != (method == http.MethodGet) {
				t.Errorf("error %v", err)
			}
			if n := requests.Load(); n != want {
				t.Errorf("%d requests, want %d", n, want)
			}
		})
	}
}

// One caller's request that makes a server close costs others at most one connection.
func TestARequestThatMakesAServerCloseIsSentTwiceAtTheMost(t *testing.T) {
	const together = 5
	var gets atomic.Int32
	var arriving, sending sync.WaitGroup
	arriving.Add(together)
	server := newRawServer(t, func(n int, c net.Conn) {
		reader := bufio.NewReader(c)
		for first := n <= together; ; first = false {
			r, _, ok := readRequest(reader)
			if !ok {
				return
			}
			if r.Method == http.MethodGet {
				gets.Add(1)
				return
			}
			if first {
				arriving.Done()
				arriving.Wait() // so that each has a connection of its own
			}
			_, _ = io.WriteString(c, helloAnswer)
		}
	})
	transport := newTransport(t)
	for range together {
		sending.Go(func() { mustSay(t, transport, server.url, "hello") })
	}
	sending.Wait()
	_ = failure(t, transport, newRequest(t.Context(), t, http.MethodGet, server.url), "", patience)
	mustSay(t, transport, server.url, "hello")
	if n := server.connections.Load(); n != together+1 || gets.Load() != 2 {
		t.Errorf("%d connections, sent %d times", n, gets.Load())
	}
}

// One caller's request that is not answered costs others no connection.
func TestARequestThatIsNotAnsweredInTimeIsNotSentAgain(t *testing.T) {
	const together = 4
	var gets atomic.Int32
	var arriving, sending sync.WaitGroup
	arriving.Add(together)
	server := newRawServer(t, func(_ int, c net.Conn) {
		reader := bufio.NewReader(c)
		if _, _, ok := readRequest(reader); !ok {
			return
		}
		arriving.Done()
		arriving.Wait() // so that each has a connection of its own
		for {
			if _, err := io.WriteString(c, helloAnswer); err != nil {
				return
			}
			r, _, ok := readRequest(reader)
			if !ok {
				return
			}
			if r.Method == http.MethodGet {
				gets.Add(1)
				_, _ = reader.ReadByte()
				return
			}
		}
	})
	transport := newTransport(t)
	for range together {
		sending.Go(func() { mustSay(t, transport, server.url, "hello") })
	}
	sending.Wait()
	r := newRequest(t.Context(), t, http.MethodGet, server.url)
	if err := failure(t, transport, r, "", 50*time.Millisecond); !errors.Is(err, http1.ErrHeaderTimeout) {
		t.Errorf("%v", err)
	}
	mustSay(t, transport, server.url, "hello")
	if n := server.connections.Load(); n != together || gets.Load() != 1 {
		t.Errorf("%d connections, sent %d times", n, gets.Load())
	}
}

func TestAHeaderThatIsLongInComing(t *testing.T) {
	const timeout = 100 * time.Millisecond
	for name, answer := range map[string]string{
		"nothing":                 "",
		"half a header":           "HTTP/1.1 200 OK\r\nContent-Le",
		"early hints only":        "HTTP/1.1 103 Early Hints\r\n\r\n",
		"a header without an end": "HTTP/1.1 200 OK\r\nA: b\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			server := newRawServer(t, func(_ int, c net.Conn) {
				reader := bufio.NewReader(c)
				_, _, _ = readRequest(reader)
				_, _ = io.WriteString(c, answer)
				_, _, _ = readRequest(reader)
			})
			begun := time.Now()
			r := newRequest(t.Context(), t, http.MethodPost, server.url)
			err := failure(t, newTransport(t), r, "", timeout)
			if took := time.Since(begun); !errors.Is(err, http1.ErrHeaderTimeout) || took < timeout {
				t.Errorf("%v after %s", err, took)
			}
		})
	}
}

func TestAConnectionThatIsNotMade(t *testing.T) {
	const nowhere = "http://192.0.2.1/"
	waiting := newTransport(t)
	waiting.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	refused := newTransport(t)
	refused.DialContext = func(context.Context, string, string) (net.Conn, error) { return nil, errGone }
	canceled, cancel := context.WithCancelCause(t.Context())
	cancel(errGone)
	for name, c := range map[string]struct {
		transport *http1.Transport
		ctx       context.Context //nolint:containedctx // a row's
		timeout   time.Duration
		want      error
	}{
		"in the time for the header":  {waiting, t.Context(), 50 * time.Millisecond, http1.ErrHeaderTimeout},
		"before the client is gone":   {waiting, canceled, patience, errGone},
		"for a reason of the network": {refused, t.Context(), patience, errGone},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRequest(c.ctx, t, http.MethodPost, nowhere)
			if err := failure(t, c.transport, r, "", c.timeout); !errors.Is(err, c.want) {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestABodyMayTakeLongerThanItsHeader(t *testing.T) {
	const timeout = 100 * time.Millisecond
	server := newRawServer(t, func(_ int, c net.Conn) {
		reader := bufio.NewReader(c)
		for {
			if _, _, ok := readRequest(reader); !ok {
				return
			}
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe")
			time.Sleep(2 * timeout)
			_, _ = io.WriteString(c, "llo")
		}
	})
	transport := newTransport(t)
	for range 2 {
		answer, err := transport.Send(newRequest(t.Context(), t, http.MethodPost, server.url), nil, timeout)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(answer.Body)
		if _ = answer.Body.Close(); err != nil || string(text) != "hello" {
			t.Errorf("%q %v", text, err)
		}
	}
}

func TestARequestEndsWithItsContext(t *testing.T) {
	for name, answer := range map[string]string{
		"before the header": "",
		"in the body":       "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe",
		"in a stream":       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			gone := make(chan struct{})
			server := newRawServer(t, func(_ int, c net.Conn) {
				reader := bufio.NewReader(c)
				_, _, _ = readRequest(reader)
				_, _ = io.WriteString(c, answer)
				_, _ = reader.ReadByte()
				close(gone)
			})
			transport := newTransport(t)
			ctx, cancel := context.WithCancelCause(t.Context())
			time.AfterFunc(50*time.Millisecond, func() { cancel(errGone) })
			response, err := transport.Send(newRequest(ctx, t, http.MethodPost, server.url), nil, patience)
			if err == nil {
				_, err = io.ReadAll(response.Body)
				_ = response.Body.Close()
			}
			if !errors.Is(err, errGone) {
				t.Errorf("%v", err)
			}
			select {
			case <-gone:
			case <-time.After(patience):
				t.Error("the server's connection stays")
			}
		})
	}
}

func TestAContextThatEndsAfterTheAnswerLeavesItsConnectionAlone(t *testing.T) {
	server := newRawServer(t, answering(helloAnswer))
	transport := newTransport(t)
	for range 20 {
		ctx, cancel := context.WithCancel(t.Context())
		answer, err := transport.Send(newRequest(ctx, t, http.MethodPost, server.url), nil, patience)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.ReadAll(answer.Body)
		cancel()
		mustSay(t, transport, server.url, "hello")
		// Of an answer that is over nothing more can be done to its connection.
		_ = answer.Body.Close()
		if _, err := answer.Body.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Fatalf("after the end: %v", err)
		}
	}
	if n := server.connections.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
}

func TestAConnectionThatIsBeingInterruptedIsNotUsedAgain(t *testing.T) {
	server := newRawServer(t, answering(helloAnswer))
	transport := newTransport(t)
	ctx, cancel := context.WithCancel(t.Context())
	answer, err := transport.Send(newRequest(ctx, t, http.MethodPost, server.url), nil, patience)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	// All of it is there already.
	if text, err := io.ReadAll(answer.Body); err != nil || string(text) != "hello" {
		t.Errorf("%q %v", text, err)
	}
	_ = answer.Body.Close()
	mustSay(t, transport, server.url, "hello")
	if n := server.connections.Load(); n != 2 {
		t.Errorf("%d connections", n)
	}
}

func TestClosingABodyEndsAReadThatWaits(t *testing.T) {
	server := newRawServer(t, func(_ int, c net.Conn) {
		reader := bufio.NewReader(c)
		_, _, _ = readRequest(reader)
		_, _ = io.WriteString(
			c,
			"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n",
		)
		_, _ = reader.ReadByte()
	})
	answer, err := newTransport(t).Send(newRequest(t.Context(), t, http.MethodGet, server.url), nil, patience)
	if err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(20*time.Millisecond, func() { _ = answer.Body.Close() })
	if n, err := answer.Body.Read(make([]byte, 10)); n != 0 || err == nil || errors.Is(err, io.EOF) {
		t.Errorf("%d %v", n, err)
	}
}

func TestAnAnswerThatIsLeftIsNotReadByTheNextRequest(t *testing.T) {
	server := newRawServer(t, answering(helloAnswer))
	transport := newTransport(t)
	for range 3 {
		answer, err := transport.Send(newRequest(t.Context(), t, http.MethodPost, server.url), nil, patience)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = answer.Body.Read(make([]byte, 2))
		_ = answer.Body.Close()
		if _, err := answer.Body.Read(make([]byte, 2)); err == nil || errors.Is(err, io.EOF) {
			t.Errorf("after Close: %v", err)
		}
		mustSay(t, transport, server.url, "hello")
	}
}

func TestAnswersThatAreRefused(t *testing.T) {
	for name, c := range map[string]struct{ answer, want string }{
		"another protocol": {
			"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n", "switches to another protocol",
		},
		"informational answers without end": {
			strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 50) + helloAnswer, "too many informational",
		},
		"a header without end":   {"HTTP/1.1 200 OK\r\nA: " + strings.Repeat("x", 80<<10), "too large"},
		"a header of many lines": {"HTTP/1.1 200 OK\r\n" + strings.Repeat("A: b\r\n", 20<<10), "too large"},
		"hints of more than allowed": {
			strings.Repeat("HTTP/1.1 103 Early Hints\r\nA: "+strings.Repeat("x", 30<<10)+"\r\n\r\n", 3) + helloAnswer,
			"too large",
		},
		"no HTTP":     {"SSH-2.0-OpenSSH_9.9\r\n", "malformed"},
		"two lengths": {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello", "Content-Length"},
	} {
		t.Run(name, func(t *testing.T) {
			server := newRawServer(t, answering(c.answer))
			_, _, err := send(t, newTransport(t), server.url, "{}")
			mustFail(t, err, c.want)
		})
	}
}

func TestAnAnswerMayHaveALongBodyAfterALongHeader(t *testing.T) {
	body := strings.Repeat("b", 300<<10)
	server := newRawServer(t, answering(fmt.Sprintf(
		"HTTP/1.1 200 OK\r\nA: %s\r\nContent-Length: %d\r\n\r\n%s", strings.Repeat("a", 60<<10), len(body), body,
	)))
	transport := newTransport(t)
	mustSay(t, transport, server.url, body)
	mustSay(t, transport, server.url, body)
	if n := server.connections.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
}

func TestIdleConnectionsAreBoundedAndEnd(t *testing.T) {
	transport := newTransport(t)
	transport.MaxIdle, transport.MaxIdlePerServer, transport.IdleTimeout = 7, 4, 300*time.Millisecond
	var open atomic.Int32
	// sendTogether has each request take a connection of its own, to one server.
	sendTogether := func() {
		const requests = 8
		var arriving, sending sync.WaitGroup
		arriving.Add(requests)
		server := newRawServer(t, func(_ int, c net.Conn) {
			open.Add(1)
			defer open.Add(-1)
			reader := bufio.NewReader(c)
			_, _, _ = readRequest(reader)
			arriving.Done()
			arriving.Wait()
			_, _ = io.WriteString(c, helloAnswer)
			_, _ = reader.ReadByte()
		})
		for range requests {
			sending.Go(func() { mustSay(t, transport, server.url, "hello") })
		}
		sending.Wait()
	}
	for range 2 {
		sendTogether()
		waitFor(t, "one server's are bounded", func() bool { return open.Load() == 4 })
		sendTogether()
		waitFor(t, "all are bounded", func() bool { return open.Load() == 7 })
		waitFor(t, "they end with their time", func() bool { return open.Load() == 0 })
	}
}

func TestAConnectionThatItsServerClosedTakesNoDescriptorForLong(t *testing.T) {
	var ended atomic.Bool
	server := newRawServer(t, func(_ int, c net.Conn) {
		_, _, _ = readRequest(bufio.NewReader(c))
		_, _ = io.WriteString(c, helloAnswer)
		if half, ok := c.(*net.TCPConn); ok {
			_ = half.CloseWrite()
		}
		_, _ = c.Read(make([]byte, 1)) // until the client closes as well
		ended.Store(true)
	})
	swept := newTransport(t)
	swept.IdleTimeout = time.Second
	begun := time.Now()
	mustSay(t, swept, server.url, "hello")
	waitFor(t, "the client closes as well", ended.Load)
	if took := time.Since(begun); took > swept.IdleTimeout/2 {
		t.Errorf("after %s", took)
	}
}

func TestWhereTooManyAreIdleTheOldestMakesRoom(t *testing.T) {
	transport := newTransport(t)
	transport.MaxIdle = 2
	var servers []*rawServer
	for range 3 {
		servers = append(servers, newRawServer(t, answering(helloAnswer)))
	}
	for _, n := range []int{0, 1, 2, 2, 1, 0} {
		mustSay(t, transport, servers[n].url, "hello")
	}
	for n, want := range []int32{2, 1, 1} {
		if got := servers[n].connections.Load(); got != want {
			t.Errorf("server %d: %d connections, want %d", n, got, want)
		}
	}
}

func waitFor(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("not so: " + what)
		}
	}
}

func TestAfterCloseIdleConnectionsNoneIsKept(t *testing.T) {
	var open atomic.Int32
	server := newRawServer(t, func(n int, c net.Conn) {
		open.Add(1)
		defer open.Add(-1)
		answering(helloAnswer)(n, c)
	})
	transport := newTransport(t)
	mustSay(t, transport, server.url, "hello")
	answer, err := transport.Send(newRequest(t.Context(), t, http.MethodPost, server.url), nil, patience)
	if err != nil {
		t.Fatal(err)
	}
	transport.CloseIdleConnections()
	text, err := io.ReadAll(answer.Body)
	if _ = answer.Body.Close(); err != nil || string(text) != "hello" {
		t.Errorf("the answer on its way: %q %v", text, err)
	}
	mustSay(t, transport, server.url, "hello")
	waitFor(t, "all connections end", func() bool { return open.Load() == 0 })
}

// Requests share connections, and some are given up in the middle: each answer must be that of
// the request that it was sent for.
func TestAnswersAreThoseOfTheirRequests(t *testing.T) {
	server := newRawServer(t, func(_ int, c net.Conn) {
		reader := bufio.NewReader(c)
		for {
			_, body, ok := readRequest(reader)
			if !ok {
				return
			}
			if rand.IntN(4) == 0 {
				time.Sleep(time.Duration(rand.IntN(2000)) * time.Microsecond)
			}
			answer := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
			if rand.IntN(2) == 0 {
				answer = fmt.Sprintf(
					"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n",
					len(body),
					body,
				)
			}
			breaks := rand.IntN(16) == 0
			if breaks {
				answer = answer[:rand.IntN(len(answer))]
			}
			if _, err := io.WriteString(c, answer); err != nil || breaks || rand.IntN(16) == 0 {
				return
			}
		}
	})
	transport := newTransport(t)
	var served atomic.Int32
	var callers sync.WaitGroup
	for caller := range 16 {
		callers.Go(func() {
			for n := range 200 {
				body := fmt.Sprintf("caller %d, request %d %s", caller, n, strings.Repeat("x", rand.IntN(9000)))
				ctx, cancel := context.WithCancel(t.Context())
				if rand.IntN(8) == 0 {
					time.AfterFunc(time.Duration(rand.IntN(3000))*time.Microsecond, cancel)
				}
				answer, err := transport.Send(
					newRequest(ctx, t, http.MethodPost, server.url),
					[]byte(body),
					time.Second,
				)
				if err == nil {
					var text []byte
					if rand.IntN(8) > 0 {
						text, err = io.ReadAll(answer.Body)
					} else {
						text = []byte(body)
					}
					_ = answer.Body.Close()
					if err == nil && string(text) != body {
						t.Errorf("%.40q was answered with %.40q", body, text)
					}
					served.Add(1)
				}
				cancel()
			}
		})
	}
	callers.Wait()
	if n := served.Load(); n < 1000 {
		t.Errorf("only %d were served", n)
	}
}

func TestARequestMakesNoGoroutine(t *testing.T) {
	server := newRawServer(t, answering(helloAnswer))
	transport := newTransport(t)
	mustSay(t, transport, server.url, "hello")
	buffer := make([]byte, 16)
	r := newRequest(t.Context(), t, http.MethodPost, server.url)
	allocations := testing.AllocsPerRun(100, func() {
		answer, err := transport.Send(r, []byte("{}"), patience)
		if err != nil {
			t.Fatal(err)
		}
		for err == nil {
			_, err = answer.Body.Read(buffer)
		}
		_ = answer.Body.Close()
	})
	// The server in this process makes some 20 of them.
	if allocations > 60 {
		t.Errorf("%.0f allocations", allocations)
	}
}
