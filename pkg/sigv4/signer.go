// Package sigv4 signs one HTTP request with AWS Signature Version 4.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html
package sigv4

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// Names of headers in their canonical form.
const (
	headerAuthorization = "Authorization"
	headerContentType   = "Content-Type"
	headerContentSHA256 = "X-Amz-Content-Sha256"
	headerDate          = "X-Amz-Date"
	headerSecurityToken = "X-Amz-Security-Token" //nolint:gosec // a name, not a secret
)

// Scope says for which service and region a signature is good.
type Scope struct {
	Service string
	Region  string
}

// Signer signs requests; it caches derived keys and is safe for concurrent use.
type Signer struct {
	signer *v4.Signer
}

// NewSigner makes a Signer.
func NewSigner() *Signer { return &Signer{signer: v4.NewSigner()} }

// Sign signs the request with its body, which is not read from the request.
// Signed are host, content-type and the x-amz headers that signing adds, and
// nothing else: any other header may be changed by a hop on the way. Path and
// query of the request become those that were signed. Whatever Authorization or
// x-amz signing headers the request had are replaced.
func (s *Signer) Sign(
	ctx context.Context,
	r *http.Request,
	body []byte,
	credential aws.Credentials,
	scope Scope,
	at time.Time,
) error {
	sum := sha256.Sum256(body)
	payload := hex.EncodeToString(sum[:])
	signedURL := *r.URL
	scratch := &http.Request{
		Method: r.Method, URL: &signedURL, Host: r.Host,
		Header: http.Header{headerContentSHA256: {payload}},
	}
	if contentType, ok := r.Header[headerContentType]; ok {
		scratch.Header[headerContentType] = contentType
	}
	if err := s.signer.SignHTTP(ctx, credential, scratch, payload, scope.Service, scope.Region, at); err != nil {
		return fmt.Errorf("sign request: %w", err)
	}
	for _, name := range [...]string{headerAuthorization, headerContentSHA256, headerDate, headerSecurityToken} {
		if values, ok := scratch.Header[name]; ok {
			r.Header[name] = values
		} else {
			delete(r.Header, name)
		}
	}
	r.Host = scratch.Host
	r.URL = &url.URL{
		Scheme: r.URL.Scheme, Host: r.URL.Host, Path: r.URL.Path, RawPath: r.URL.RawPath,
		RawQuery: scratch.URL.RawQuery,
	}
	return nil
}
