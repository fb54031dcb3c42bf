package identity

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// tokenFileCheck is how often the token file is looked at. kubelet rotates it
// after 80 % of its life, minutes before it expires.
const tokenFileCheck = time.Second

// ServiceAccount gives the Pod's own service-account token as the caller.
type ServiceAccount struct {
	path    string
	current atomic.Pointer[tokenFile]
	mu      sync.Mutex
}

type tokenFile struct {
	caller  *Caller
	info    os.FileInfo
	checked time.Time
}

// NewServiceAccount reads the projected token from path when it is asked for.
func NewServiceAccount(path string) *ServiceAccount { return &ServiceAccount{path: path} }

// Authenticate gives the Pod's caller whatever the request says. The error
// wraps ErrUnavailable. The token is not verified here: kubelet wrote it, and
// STS verifies it.
func (s *ServiceAccount) Authenticate(context.Context, http.Header) (*Caller, error) {
	now := time.Now()
	file := s.current.Load()
	if file == nil || now.Sub(file.checked) >= tokenFileCheck {
		var err error
		if file, err = s.reload(now); err != nil {
			return nil, err
		}
	}
	if !now.Before(file.caller.Expiry) {
		return nil, fmt.Errorf("%w: the service-account token in %s has expired", ErrUnavailable, s.path)
	}
	return file.caller, nil
}

func (s *ServiceAccount) reload(now time.Time) (*tokenFile, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.current.Load()
	if old != nil && now.Sub(old.checked) < tokenFileCheck {
		return old, nil
	}
	info, err := os.Stat(s.path)
	if err == nil && old != nil && os.SameFile(info, old.info) && info.ModTime().Equal(old.info.ModTime()) &&
		info.Size() == old.info.Size() {
		fresh := &tokenFile{caller: old.caller, info: old.info, checked: now}
		s.current.Store(fresh)
		return fresh, nil
	}
	var caller *Caller
	if err == nil {
		caller, err = readTokenFile(s.path)
	}
	switch {
	case err == nil:
		fresh := &tokenFile{caller: caller, info: info, checked: now}
		s.current.Store(fresh)
		return fresh, nil
	case old != nil:
		slog.Warn("the service-account token cannot be read again; the last one stays in use", "error", err)
		fresh := &tokenFile{caller: old.caller, info: old.info, checked: now}
		s.current.Store(fresh)
		return fresh, nil
	}
	return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
}

func readTokenFile(path string) (*Caller, error) {
	f, err := os.Open(path) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, fmt.Errorf("read service-account token: %w", err)
	}
	defer func() { _ = f.Close() }()
	text, err := io.ReadAll(io.LimitReader(f, MaxTokenBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read service-account token: %w", err)
	}
	if len(text) > MaxTokenBytes {
		return nil, fmt.Errorf("read service-account token: %s is longer than %d bytes", path, MaxTokenBytes)
	}
	return workloadCaller(strings.TrimSpace(string(text)))
}

// workloadCaller reads the claims of a Kubernetes service-account token.
// https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/
func workloadCaller(raw string) (*Caller, error) {
	said, err := readUnverified(raw)
	if err != nil {
		return nil, fmt.Errorf("service-account token: %w", err)
	}
	return workloadWith(said.claims, NewToken(raw))
}

func workloadWith(claims map[string]any, token Token) (*Caller, error) {
	subject := stringClaim(claims, "sub")
	parts := strings.Split(subject, ":")
	if len(parts) != 4 || parts[0] != "system" || parts[1] != "serviceaccount" || parts[2] == "" || parts[3] == "" {
		return nil, fmt.Errorf("service-account token: sub is not system:serviceaccount:<namespace>:<name>")
	}
	expiry, present, ok := timeClaim(claims, "exp")
	if !present || !ok {
		return nil, fmt.Errorf("service-account token: no usable exp")
	}
	return &Caller{
		Issuer: stringClaim(claims, "iss"), Subject: subject, Scopes: scopes(claims), Claims: claims,
		Expiry: expiry, Workload: &Workload{Namespace: parts[2], ServiceAccount: parts[3]}, Token: token,
		key: keyOf(stringClaim(claims, "iss"), subject),
	}, nil
}

// UnverifiedServiceAccount is what a service-account token says of itself, also
// when it has expired. It is for explanations only.
func UnverifiedServiceAccount(raw string) (*Caller, error) { return workloadCaller(raw) }

// ParseServiceAccountToken reads a projected token without verifying it, as
// kubelet's own needs no verification here; an expired one is refused.
func ParseServiceAccountToken(raw string) (*Caller, error) {
	caller, err := workloadCaller(raw)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	if !time.Now().Before(caller.Expiry) {
		return nil, fmt.Errorf("%w: the service-account token has expired", ErrUnavailable)
	}
	return caller, nil
}
