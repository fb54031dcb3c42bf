// Package proxy is the request pipeline and the only package that knows the
// order of its steps. A request travels through these files:
//
//	server.go    which upstream a request is for; RFC 9728 metadata
//	call.go      the steps of one request, in order
//	identify.go  step 1 and 4: the caller, the role
//	message.go   step 2: the body
//	session.go   step 3: the MCP session
//	authorize.go step 5: the decision
//	forward.go   step 6: credentials, signature, the upstream
//	relay.go     step 7: the answer, filtered
//	failure.go   every way in which a request can end early
package proxy
