// Package proxy is the request pipeline and the only package that knows the
// order of its steps. A request travels through these files:
//
//	server.go    the snapshot of the auth-config that a request keeps to its end
//	route.go     which upstream it is for; RFC 9728 metadata
//	intercepted.go  the same for a connection that was redirected
//	origin.go    requests of web pages
//	call.go      the steps of one request, in order
//	place.go     its place among the requests in flight
//	identify.go  step 1 and 4: the caller, the role
//	message.go   step 2: the body
//	session.go   step 3: the MCP session
//	authorize.go step 5: the decision
//	forward.go   step 6: credentials, signature, the upstream
//	emptylist.go a list of tools that AWS left empty is asked for once more
//	relay.go     step 7: the answer, filtered
//	events.go    the same for a stream of events
//	record.go    the audit record of a call
//	failure.go   every way in which a request can end early
package proxy
