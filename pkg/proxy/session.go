package proxy

import (
	"net/http"

	"github.com/countersign-io/countersign/pkg/mcp"
)

const headerSession = "Mcp-Session-Id"

func (c *call) owner() owner { return owner{issuer: c.caller.Issuer, subject: c.caller.Subject} }

func (c *call) owned(id string) ownedID { return ownedID{upstream: c.upstream.Key, id: id} }

// checkSession refuses a session that this sidecar does not know as the
// caller's, with the answer that makes a client initialize again. The workload
// of the serviceAccount source is alone: there is nothing to bind.
func (c *call) checkSession() *failure {
	if !c.isBearer() {
		return nil
	}
	if c.sessionID == "" {
		if c.r.Header.Get("Last-Event-Id") != "" {
			return invalid("Last-Event-ID needs a Mcp-Session-Id")
		}
		return nil
	}
	if len(c.sessionID) > maxOwnedID || !c.server.sessions.holds(c.owned(c.sessionID), c.owner()) {
		return unknownSession()
	}
	return nil
}

// bindSession notes the session that an answer opens, and forgets one that is
// over.
func (c *call) bindSession(answer *http.Response) *failure {
	if !c.isBearer() {
		return nil
	}
	if c.sessionID != "" && (answer.StatusCode == http.StatusNotFound || c.r.Method == http.MethodDelete && answer.StatusCode < 300) {
		c.server.sessions.release(c.owned(c.sessionID), c.owner())
		return nil
	}
	ids := answer.Header[headerSession]
	switch {
	case len(ids) == 0:
		return nil
	case len(ids) > 1 || ids[0] == "" || len(ids[0]) > maxOwnedID:
		return badGateway("the upstream's session id cannot be used")
	case !c.server.sessions.claim(c.owned(ids[0]), c.owner()):
		return badGateway("the upstream issued a session id that is in use")
	}
	return nil
}

// checkTasks lets tasks be used only by the caller to whom they were issued.
func (c *call) checkTasks(m *mcp.Message) *failure {
	if !c.isBearer() {
		return nil
	}
	for _, subject := range m.Subjects() {
		if id := subject.Name; subject.Kind == mcp.SubjectTask &&
			(id == "" || len(id) > maxOwnedID || !c.server.tasks.holds(c.owned(id), c.owner())) {
			return unknownTask()
		}
	}
	return nil
}
