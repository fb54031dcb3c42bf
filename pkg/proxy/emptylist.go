package proxy

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/countersign-io/countersign/pkg/mcp"
)

const (
	// emptyListPause is how long to wait before a list is asked for once more.
	emptyListPause = time.Second
	// maxEmptyList bounds the beginning of an answer that is looked at: an empty
	// list is short.
	maxEmptyList = 4 << 10
)

// asksForTools reports whether the request is for the first page of the tools of
// one of AWS's own servers. Under throttling these answer with an empty list, as
// if there were no tools.
func (c *call) asksForTools() bool {
	return c.upstream.ManagedByAWS && c.messages != nil && !c.messages.Batch &&
		mcp.AsksForFirstTools(&c.messages.Messages[0])
}

// repeatIfEmpty asks once more when the answer is a list without a tool.
func (c *call) repeatIfEmpty(
	ctx context.Context,
	answer *http.Response,
	again func() (*http.Response, *failure),
) (*http.Response, *failure) {
	held := answer.Body
	if answer.StatusCode != http.StatusOK || !startsEmpty(answer) {
		return answer, nil
	}
	if held, ok := held.(*placedBody); ok {
		// Its place is for the second: where all waited for one they would wait for each other.
		held.place.release()
	}
	c.server.options.Metrics.EmptyList(c.upstream.Name)
	slog.Warn(
		"the upstream's list of tools is empty, as under throttling; it is asked once more",
		"upstream",
		c.upstream.Name,
	)
	pause := time.NewTimer(emptyListPause)
	defer pause.Stop()
	select {
	case <-pause.C:
	case <-ctx.Done():
		return answer, nil
	}
	second, f := again()
	if f != nil || second.StatusCode != http.StatusOK {
		if f == nil {
			_ = second.Body.Close()
		}
		return answer, nil
	}
	_ = answer.Body.Close()
	if startsEmpty(second) {
		c.server.options.Metrics.EmptyList(c.upstream.Name)
	}
	return second, nil
}

// startsEmpty looks at the beginning of an answer, which stays readable.
func startsEmpty(answer *http.Response) bool {
	head := make([]byte, 0, maxEmptyList)
	for len(head) < maxEmptyList {
		n, err := answer.Body.Read(head[len(head):maxEmptyList])
		head = head[:len(head)+n]
		if err != nil || mcp.IsEmptyToolList(head) || bytes.Contains(head, []byte(`"name"`)) {
			break
		}
	}
	rest := answer.Body
	answer.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(head), rest), rest}
	return mcp.IsEmptyToolList(head)
}
