// Package http1 sends requests over HTTP/1.1 in the goroutine that asks for it: it writes the
// request, and reads the answer, on a connection that is that goroutine's alone meanwhile.
// http.Transport has two goroutines for each connection, and a request with its answer is
// handed from one to another five times; under load that costs more than all else that
// a proxy does. What is on the wire is written and read by net/http here too (Request.Write and
// ReadResponse).
//
// It is for requests whose bodies are small and in memory: all of a request is written before
// anything of its answer is read. HTTP/2, proxies, large bodies and Expect: 100-continue
// are http.Transport's.
package http1
