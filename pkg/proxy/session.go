package proxy

import (
	"net/http"

	"github.com/countersign-io/countersign/pkg/mcp"
	"github.com/countersign-io/countersign/pkg/sessionid"
)

// The headers that name a session: MCP's, and AgentCore's own for its runtimes.
// https://docs.aws.amazon.com/bedrock-agentcore/latest/devguide/runtime-sessions.html
const (
	headerSession          = "Mcp-Session-Id"
	headerAgentCoreSession = "X-Amzn-Bedrock-Agentcore-Runtime-Session-Id"
)

// session is the MCP session of a call: what the client calls it and what the
// upstream does. Logs and traces carry the upstream's.
type session struct {
	client   string
	upstream string
}

func (c *call) sessionOwner() sessionid.Owner {
	return sessionid.Owner{Upstream: c.upstream.Key, Issuer: c.caller.Issuer, Subject: c.caller.Subject}
}

// openSession finds the upstream's session in the client's id. An id that was not
// made for this caller gets the answer that makes a client initialize again. The
// workload of the serviceAccount source is alone: there is nothing to bind.
func (c *call) openSession() *failure {
	id := headerValue(c.r.Header, headerSession)
	if c.upstream.ClientSessions && id == "" {
		id = headerValue(c.r.Header, headerAgentCoreSession)
	}
	switch {
	case id == "":
		if headerValue(c.r.Header, "Last-Event-Id") != "" && c.isBearer() {
			return invalid("Last-Event-ID needs a Mcp-Session-Id")
		}
		return nil
	case !c.isBearer():
		c.session = session{client: id, upstream: id}
		return nil
	}
	owner := c.sessionOwner()
	opened, ok := c.server.options.SessionKeys.Open(id, owner)
	if !ok && c.upstream.ClientSessions && sessionid.Valid(id) {
		opened, ok = c.server.options.SessionKeys.Disguise(id, owner), true
	}
	if !ok {
		return unknownSession()
	}
	c.session = session{client: id, upstream: opened}
	return nil
}

// setSession puts the upstream's id into the headers that go up.
func (c *call) setSession(header http.Header) {
	delete(header, headerSession)
	if c.session.upstream == "" {
		return
	}
	header[headerSession] = []string{c.session.upstream}
	if c.upstream.ClientSessions {
		header[headerAgentCoreSession] = []string{c.session.upstream}
	}
}

// bindSession gives the client an id of its own for the upstream's session.
func (c *call) bindSession(answer *http.Response) *failure {
	if !c.isBearer() {
		return nil
	}
	for _, name := range []string{headerSession, headerAgentCoreSession} {
		ids := answer.Header[name]
		switch {
		case len(ids) == 0:
			continue
		case len(ids) > 1 || !sessionid.Valid(ids[0]):
			return badGateway("the upstream's session id cannot be used")
		case ids[0] == c.session.upstream:
			// It is the client's already, in the form that the client chose.
			answer.Header[name] = []string{c.session.client}
		default:
			answer.Header[name] = []string{c.server.options.SessionKeys.Bind(ids[0], c.sessionOwner())}
		}
	}
	return nil
}

func (c *call) owner() owner { return owner{issuer: c.caller.Issuer, subject: c.caller.Subject} }

func (c *call) owned(id string) ownedID { return ownedID{upstream: c.upstream.Key, id: id} }

// checkTasks lets tasks be used only by the caller to whom they were issued.
func (c *call) checkTasks(m *mcp.Message) *failure {
	if !c.isBearer() {
		return nil
	}
	for _, subject := range m.Subjects() {
		if subject.Kind == mcp.SubjectTask && !c.holdsTask(subject.Name) {
			return unknownTask()
		}
	}
	return c.checkTaskArguments(m)
}

// holdsTask reports whether a task was issued to the caller.
func (c *call) holdsTask(id string) bool {
	return id != "" && len(id) <= maxOwnedID && c.server.tasks.holds(c.owned(id), c.owner())
}
