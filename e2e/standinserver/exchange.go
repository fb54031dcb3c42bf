package main

import (
	"encoding/json"
	"net/http"
	"net/http/httputil"
	"net/url"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/countersign-io/countersign/e2e/standin"
)

// exchangeAdmin is how tests set up the exchange of tokens, and what AWS trusts.
type exchangeAdmin struct {
	issuer        *standin.Issuer
	sts           *standin.STS
	clusterIssuer string
	clusterClient *http.Client
	opIssuer      string
}

func (a *exchangeAdmin) register(mux *http.ServeMux) {
	mux.HandleFunc("POST /trust", a.trust)
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: a.issuer.PublicKeys()})
	})
	mux.HandleFunc("POST /exchange-client", a.addClient)
	mux.HandleFunc("POST /exchange-fault", a.setFault)
	mux.HandleFunc("POST /rotate", func(http.ResponseWriter, *http.Request) { a.issuer.AddKey(jose.RS256) })
}

// trust sets a role's trust policy and client ids of its provider.
func (a *exchangeAdmin) trust(w http.ResponseWriter, r *http.Request) {
	var request struct {
		Role, Policy string
		OP           bool
		ClientIDs    []string
	}
	if !decode(w, r, &request) {
		return
	}
	issuer, handler := a.issuer.URL, a.issuer.Handler()
	if request.OP {
		issuer, handler = a.opIssuer, opProxy()
	}
	for _, id := range request.ClientIDs {
		a.sts.Trust(issuer, id, &http.Client{Transport: handlerTransport{handler}})
	}
	a.sts.SetTrustPolicy(request.Role, request.Policy)
}

// addClient lets a client exchange tokens at the stand-in issuer. A subject is one of
// the cluster's, whose tokens then authenticate the client.
func (a *exchangeAdmin) addClient(w http.ResponseWriter, r *http.Request) {
	var request struct {
		ID, Secret, Subject string
		Key                 *jose.JSONWebKey
	}
	if !decode(w, r, &request) {
		return
	}
	client := standin.ExchangeClient{ID: request.ID, Secret: request.Secret, Audiences: []string{"sts.amazonaws.com"}}
	if request.Subject != "" {
		client.AssertionIssuer, client.AssertionSubject = a.clusterIssuer, request.Subject
		client.AssertionClient = a.clusterClient
	}
	if request.Key != nil {
		client.Keys = []jose.JSONWebKey{*request.Key}
	}
	a.issuer.AllowExchange(client)
}

// setFault makes the token endpoint slow or failing.
func (a *exchangeAdmin) setFault(w http.ResponseWriter, r *http.Request) {
	var request struct {
		Status, LatencyMillis int
		Code, Message         string
	}
	if !decode(w, r, &request) {
		return
	}
	a.issuer.TokenFaults.Set(standin.Fault{
		Latency: time.Duration(request.LatencyMillis) * time.Millisecond, Status: request.Status, Code: request.Code,
		Message: request.Message,
	})
}

func decode(w http.ResponseWriter, r *http.Request, into any) bool {
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<16)).Decode(into); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return false
	}
	return true
}

// opProxy gives the OP of zitadel/oidc, which runs in a Pod of its own, the name and the
// certificate that the other stand-ins have.
func opProxy() http.Handler {
	target := &url.URL{Scheme: "http", Host: "op-plain.standins.svc.cluster.local:8080"}
	return &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Host = r.In.Host
	}}
}
