package proxy

import (
	"net/http"
	"strconv"
	"time"

	"github.com/countersign-io/countersign/pkg/audit"
	"github.com/countersign-io/countersign/pkg/authorize"
	"github.com/countersign-io/countersign/pkg/mcp"
)

// outcome is how a call ended, for its record.
type outcome struct {
	status int
	// reason is empty for a call that was served; denied tells a decision against
	// the caller from a call that could not be served.
	reason string
	denied bool
	// code is that of our JSON-RPC error, message its words.
	code    int
	message string
	// upstreamRequestID is AWS's name for the request.
	upstreamRequestID string
	recorded          bool
}

func (o *outcome) errorType() string {
	if o.reason != "" {
		return o.reason
	}
	if o.status >= http.StatusBadRequest {
		return strconv.Itoa(o.status)
	}
	return ""
}

// label is the MCP method for metrics and traces, from a bounded set.
func (c *call) label() string {
	switch {
	case c.messages == nil && c.r.Method == http.MethodPost:
		return ""
	case c.messages == nil:
		return c.r.Method
	case c.messages.Batch:
		return mcp.LabelBatch
	}
	return mcp.MethodOf(c.messages.Messages[0].Method).Label
}

// record ends the span and writes metrics and, per message, a decision record;
// once, however often it is called.
func (c *call) record() {
	if c.outcome.recorded {
		return
	}
	c.outcome.recorded = true
	took := time.Since(c.started)
	c.beginSpan()
	c.server.options.Metrics.RequestedIn(
		c.span.SampledTraceID(),
		c.upstream.Name,
		c.label(),
		c.outcome.status,
		took,
		c.isStream(),
	)
	record := audit.Record{
		Time: c.started, RequestID: c.requestID(),
		TraceID: c.traceID(), Upstream: c.upstream.Name, HTTPMethod: c.r.Method, Status: c.outcome.status,
		Duration:          took,
		UpstreamRequestID: c.outcome.upstreamRequestID, Decision: audit.Allow,
	}
	if c.caller != nil {
		record.Caller, record.Issuer, record.Actor = c.caller.Subject, c.caller.Issuer, c.snap.Actor(c.caller)
	}
	if c.plan != nil {
		record.SessionName, record.Role = c.plan.Selection.SessionName, c.plan.Role
	}
	c.endSpans(&record)
	if c.messages == nil {
		c.writeRecord(&record, c.label(), "", nil)
		return
	}
	for i := range c.messages.Messages {
		var decision *authorize.Decision
		if i < len(c.decisions) {
			decision = &c.decisions[i]
		}
		c.recordMessage(record, &c.messages.Messages[i], decision)
	}
}

// recordMessage takes the record by value: messages of a batch differ in what
// they add.
func (c *call) recordMessage(record audit.Record, m *mcp.Message, decision *authorize.Decision) {
	record.Method = m.Method
	tool := ""
	for _, subject := range m.Subjects() {
		record.Subjects = append(record.Subjects, subject.Written)
		if subject.Kind == mcp.SubjectTool {
			tool = subject.Name
		}
	}
	if c.snap.Config.Audit.IncludeArguments {
		record.Arguments = m.Params.Arguments
	}
	record.AWS = c.script.record()
	if denials := c.server.options.Denials; denials != nil && decision != nil && !decision.Allowed && c.plan != nil &&
		!c.messages.Batch {
		asker := c.asker()
		asker.SeenTool = c.seenTool(m)
		denials.Add(c.requestID(), asker, m)
	}
	c.writeRecord(&record, mcp.MethodOf(m.Method).Label, tool, decision)
}

func (c *call) writeRecord(record *audit.Record, label, tool string, decision *authorize.Decision) {
	enforced := true
	if decision != nil {
		record.Policies, record.Errors, record.Reason = decision.Policies, decision.Errors, string(decision.Reason)
		if !decision.Allowed {
			enforced = !decision.NotEnforced
			record.Decision, record.NotEnforced = audit.Deny, decision.NotEnforced
		}
	}
	switch {
	case c.outcome.reason == "" || record.Decision == audit.Deny:
	case c.outcome.denied:
		record.Decision, record.Reason = audit.Deny, c.outcome.reason
	case decision != nil:
		// Allowed, and then it could not be served.
		record.Failure = c.outcome.reason
	default:
		record.Decision, record.Reason = audit.Reject, c.outcome.reason
	}
	if record.Decision != audit.Reject {
		c.server.options.Metrics.Decided(record.Decision, record.Reason, c.upstream.Name, label, tool, enforced)
	}
	log := c.server.options.Audit
	if !c.snap.Config.Audit.Enabled {
		log = nil
	}
	audit.WriteTo(record, log, c.server.options.Recent)
}
