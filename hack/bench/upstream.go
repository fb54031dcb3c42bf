package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// upstreamHandler answers as fast as net/http can, so that nothing of a proxy's cost hides
// behind it: calls with one fixed JSON answer, or an event stream where they ask for
// progress, lists with as many tools as the path says (/10000), and GET with a
// stream that stays silent. It does not verify signatures.
func upstreamHandler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			keepStream(w, r)
			return
		}
		content, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		switch {
		case bytes.Contains(content, []byte(`"tools/list"`)):
			writeTools(w, strings.TrimPrefix(r.URL.Path, "/"))
		case bytes.Contains(content, []byte(`"progressToken"`)):
			streamProgress(w)
		default:
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write(fixedAnswer)
		}
	})
}

var fixedAnswer = []byte(`{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"` +
	strings.Repeat("x", 64) + `"}]}}`)

func keepStream(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	_ = http.NewResponseController(w).Flush()
	<-r.Context().Done()
}

func writeTools(w http.ResponseWriter, count string) {
	n, err := strconv.Atoi(count)
	if err != nil {
		http.Error(w, "the path is not a number of tools", http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	var list strings.Builder
	list.WriteString(`{"jsonrpc":"2.0","id":1,"result":{"tools":[`)
	for i := range n {
		if i > 0 {
			list.WriteByte(',')
		}
		_, _ = fmt.Fprintf(&list, `{"name":"tool-%d","description":"does a thing","inputSchema":{"type":"object"}}`, i)
	}
	list.WriteString(`]}}`)
	_, _ = io.WriteString(w, list.String())
}

// streamProgress leaves a pause before the answer, so that it cannot travel with the event.
func streamProgress(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/event-stream")
	_, _ = io.WriteString(w, "data: "+
		`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":1}}`+"\n\n")
	_ = http.NewResponseController(w).Flush()
	time.Sleep(2 * time.Millisecond)
	_, _ = fmt.Fprintf(w, "data: %s\n\n", fixedAnswer)
}
