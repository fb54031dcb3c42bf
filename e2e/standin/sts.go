package standin

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"sync"
	"time"
)

// RoleSession is one exchange that STS granted.
type RoleSession struct {
	RoleARN     string
	Name        string
	Subject     string
	Policy      string
	PolicyARNs  []string
	Duration    time.Duration
	AccessKeyID string
	// Tags and SourceIdentity come from the token.
	Tags           map[string]string
	SourceIdentity string
	secret         string
	token          string
	Expires        time.Time
}

// STS answers AssumeRoleWithWebIdentity.
type STS struct {
	// URL is for AWS_ENDPOINT_URL_STS, set by NewSTS.
	URL    string
	Faults faults
	// Life overrides how long credentials live; 0 takes DurationSeconds.
	Life time.Duration
	// Ahead is by how much its clock is ahead of this machine's.
	Ahead time.Duration
	// Untrusted are roles whose trust policy lets nobody in.
	Untrusted map[string]bool
	// MaxPacked is how long the session policies of one request may be before STS
	// says that they pack into too much; 0 is for any length.
	MaxPacked int

	server *httptest.Server

	// trusting guards what IAM is set up with.
	trusting      sync.RWMutex
	trusted       []trusted
	trustPolicies map[string]string

	mu       sync.Mutex
	sessions map[string]*RoleSession
	granted  []*RoleSession
	asked    int
}

// trusted is an IAM OIDC provider with the client that reaches it.
type trusted struct {
	issuer    string
	clientIDs []string
	client    *http.Client
}

// NewSTS trusts one issuer and audience, as an IAM OIDC provider would, and
// serves on a loopback port.
func NewSTS(issuer, audience string) *STS {
	s := NewUnservedSTS()
	s.Trust(issuer, audience, http.DefaultClient)
	s.server = httptest.NewServer(s.Handler())
	s.URL = s.server.URL
	return s
}

// NewUnservedSTS trusts nobody yet; its Handler is served somewhere else.
func NewUnservedSTS() *STS {
	return &STS{sessions: map[string]*RoleSession{}, Untrusted: map[string]bool{}}
}

// Trust adds an issuer with a client id of its provider.
func (s *STS) Trust(issuer, clientID string, client *http.Client) {
	s.trusting.Lock()
	defer s.trusting.Unlock()
	s.trusted = append(s.trusted, trusted{issuer, []string{clientID}, client})
}

// SetTrustPolicy sets that of a role. A role without one trusts every token of a
// provider, and no session tags.
func (s *STS) SetTrustPolicy(role, policy string) {
	s.trusting.Lock()
	defer s.trusting.Unlock()
	if s.trustPolicies == nil {
		s.trustPolicies = map[string]string{}
	}
	s.trustPolicies[role] = policy
}

// SetProvider replaces what NewSTS trusts by an OIDC provider with these client ids.
func (s *STS) SetProvider(issuer string, clientIDs ...string) {
	s.trusting.Lock()
	defer s.trusting.Unlock()
	s.trusted = []trusted{{issuer, clientIDs, http.DefaultClient}}
}

// Handler serves AssumeRoleWithWebIdentity.
func (s *STS) Handler() http.Handler { return http.HandlerFunc(s.serve) }

// Close stops serving.
func (s *STS) Close() { s.server.Close() }

// Granted are all role sessions in order.
func (s *STS) Granted() []*RoleSession {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]*RoleSession(nil), s.granted...)
}

// Asked counts requests, granted or not.
func (s *STS) Asked() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

// ExpireAll makes every credential that was granted expire now.
func (s *STS) ExpireAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, session := range s.sessions {
		session.Expires = time.Now().Add(-time.Second)
	}
}

func (s *STS) session(accessKeyID string) (RoleSession, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	session, ok := s.sessions[accessKeyID]
	if !ok {
		return RoleSession{}, false
	}
	return *session, true
}

var sessionNameForm = regexp.MustCompile(`^[\w+=,.@-]{2,64}$`)

func (s *STS) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.asked++
	s.mu.Unlock()
	if fault, fails := s.Faults.next(r); fails {
		writeSTSError(w, fault.Status, fault.Code, fault.Message)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	if err := r.ParseForm(); err != nil || r.PostForm.Get("Action") != "AssumeRoleWithWebIdentity" {
		writeSTSError(w, http.StatusBadRequest, "InvalidAction", "Could not find operation")
		return
	}
	session, status, code, message := s.grant(r)
	if code != "" {
		writeSTSError(w, status, code, message)
		return
	}
	s.writeAnswer(w, session)
}

func (s *STS) grant(r *http.Request) (session *RoleSession, status int, code, message string) {
	form := r.PostForm
	session = &RoleSession{RoleARN: form.Get("RoleArn"), Name: form.Get("RoleSessionName"), Policy: form.Get("Policy")}
	if !sessionNameForm.MatchString(session.Name) {
		return nil, http.StatusBadRequest, "ValidationError", "Value at 'roleSessionName' failed to satisfy constraint"
	}
	for n := 1; form.Get(fmt.Sprintf("PolicyArns.member.%d.arn", n)) != ""; n++ {
		session.PolicyARNs = append(session.PolicyARNs, form.Get(fmt.Sprintf("PolicyArns.member.%d.arn", n)))
	}
	if session.Policy != "" && !json.Valid([]byte(session.Policy)) {
		return nil, http.StatusBadRequest, "MalformedPolicyDocument", "This policy contains invalid Json"
	}
	if status, code, message := s.measure(session); code != "" {
		return nil, status, code, message
	}
	seconds, err := strconv.Atoi(form.Get("DurationSeconds"))
	if err != nil || seconds < 900 || seconds > 43200 {
		return nil, http.StatusBadRequest, "ValidationError", "The requested DurationSeconds is out of range"
	}
	session.Duration = time.Duration(seconds) * time.Second
	who, code, message := s.verify(r.Context(), form.Get("WebIdentityToken"))
	if code != "" {
		return nil, http.StatusBadRequest, code, message
	}
	if denied := s.denied(session.RoleARN, who); denied != "" {
		return nil, http.StatusForbidden, "AccessDenied", "Not authorized to perform " + denied
	}
	session.Subject, session.Tags, session.SourceIdentity = who.subject, who.tags, who.sourceIdentity
	session.AccessKeyID, session.secret, session.token = "ASIA"+randomHex(8), randomHex(20), "session-"+randomHex(40)
	life := session.Duration
	if s.Life > 0 {
		life = s.Life
	}
	session.Expires = time.Now().Add(life)
	s.mu.Lock()
	s.sessions[session.AccessKeyID] = session
	s.granted = append(s.granted, session)
	s.mu.Unlock()
	return session, http.StatusOK, "", ""
}

// measure applies STS's limits of session policies.
// https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html
func (s *STS) measure(session *RoleSession) (status int, code, message string) {
	const limit = 2048
	length := len([]rune(session.Policy))
	for _, arn := range session.PolicyARNs {
		length += len(arn)
	}
	switch {
	case length > limit:
		return http.StatusBadRequest, "ValidationError", "Value at 'policy' failed to satisfy constraint"
	case s.MaxPacked > 0 && length > s.MaxPacked:
		return http.StatusBadRequest, "PackedPolicyTooLarge", "Packed policy consumes 101% of allotted space"
	}
	return 0, "", ""
}

func randomHex(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

func writeSTSError(w http.ResponseWriter, status int, code, message string) {
	type errorXML struct {
		XMLName   xml.Name `xml:"https://sts.amazonaws.com/doc/2011-06-15/ ErrorResponse"`
		Type      string   `xml:"Error>Type"`
		Code      string   `xml:"Error>Code"`
		Message   string   `xml:"Error>Message"`
		RequestID string   `xml:"RequestId"`
	}
	writeXML(w, status, errorXML{Type: "Sender", Code: code, Message: message, RequestID: randomHex(8)})
}

func (s *STS) writeAnswer(w http.ResponseWriter, granted *RoleSession) {
	type result struct {
		AccessKeyID     string `xml:"Credentials>AccessKeyId"`
		SecretAccessKey string `xml:"Credentials>SecretAccessKey"`
		SessionToken    string `xml:"Credentials>SessionToken"`
		Expiration      string `xml:"Credentials>Expiration"`
		Subject         string `xml:"SubjectFromWebIdentityToken"`
		ARN             string `xml:"AssumedRoleUser>Arn"`
		ID              string `xml:"AssumedRoleUser>AssumedRoleId"`
	}
	type answerXML struct {
		XMLName   xml.Name `xml:"https://sts.amazonaws.com/doc/2011-06-15/ AssumeRoleWithWebIdentityResponse"`
		Result    result   `xml:"AssumeRoleWithWebIdentityResult"`
		RequestID string   `xml:"ResponseMetadata>RequestId"`
	}
	writeXML(w, http.StatusOK, answerXML{RequestID: randomHex(8), Result: result{
		AccessKeyID: granted.AccessKeyID, SecretAccessKey: granted.secret, SessionToken: granted.token,
		Expiration: granted.Expires.Add(s.Ahead).UTC().Format("2006-01-02T15:04:05.000Z"), Subject: granted.Subject,
		ARN: granted.RoleARN + "/" + granted.Name, ID: "AROASTANDIN:" + granted.Name,
	}})
}

func writeXML(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "text/xml")
	w.WriteHeader(status)
	_ = xml.NewEncoder(w).Encode(value) // the client may be gone
}
