// Package intercept is how the app's traffic reaches the pipeline: it listens
// where host names or firewall rules send connections, terminates those that are
// for an upstream with certificates of the Pod's own CA, and passes on all
// others as they came.
//
//	authority.go  the Pod's CA and its leaf certificates
//	trust.go      the files with which clients come to trust it
//	listener.go   connections whose host name was pointed to us
//	redirect.go   connections that firewall rules sent to us
//	hello.go      for whom a connection is, read without answering
//	splice.go     connections that are none of our business
//	rules.go      the firewall rules
//
// It knows no HTTP and nothing of MCP.
package intercept
