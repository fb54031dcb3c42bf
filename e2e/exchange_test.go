//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/countersign-io/countersign/pkg/authconfig"
	"github.com/countersign-io/countersign/pkg/iam"
)

const sts = "https://sts.standins.svc.cluster.local"

// exchangeConfig exchanges callers' tokens, and gives everybody the role.
func exchangeConfig(roleName, exchange, more string) string {
	return `apiVersion: countersign.io/v1alpha1
kind: AuthConfig
spec:
  upstreams:
  - {name: aws, url: "` + upstream + `", region: us-east-1, service: aws-mcp, guardrail: mcpOnly}
  identity:
    source: bearer
    oidc: {issuer: "` + issuer + `", audience: countersign, exchange: ` + exchange + `}
  awsSts: {region: us-east-1, fallbackRoleArn: "` + role + roleName + `"}
` + more
}

// admin tells the stand-ins something.
func admin(t *testing.T, path string, request any) {
	t.Helper()
	body, err := json.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	if answer, err := viaService(t.Context(), "POST", path, body); err != nil {
		t.Fatalf("%s: %v: %s", path, err, answer)
	}
}

// setUpIAM has the stand-in STS hold what `webhook iam --deny-direct` writes.
func setUpIAM(t *testing.T, config string, ofOP bool) {
	t.Helper()
	parsed, err := authconfig.Parse(authconfig.Files{authconfig.FileConfig: config})
	if err != nil {
		t.Fatal(err)
	}
	plan, err := iam.NewPlan(parsed, iam.Options{DenyDirect: true})
	if err != nil {
		t.Fatal(err)
	}
	account := plan.Accounts[0]
	policy, err := json.Marshal(account.Roles[0].TrustPolicy)
	if err != nil {
		t.Fatal(err)
	}
	admin(t, "/trust", map[string]any{
		"role": account.Roles[0].ARN, "policy": string(policy), "clientIds": account.Provider.ClientIDs, "op": ofOP,
	})
}

func secret(namespace, name, key string, value []byte) string {
	text, err := json.Marshal(&corev1.Secret{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Data:       map[string][]byte{key: value},
	})
	if err != nil {
		panic(err) // always marshals
	}
	return string(text)
}

// exchangeClient is how the sidecar of one mode is known at the identity provider.
type exchangeClient struct {
	exchange   string
	registered map[string]any
	// credential is what nobody else may have; empty for the service account's.
	credential []byte
}

func clientOf(t *testing.T, mode, namespace string) exchangeClient {
	t.Helper()
	id := "sidecar-" + mode
	switch mode {
	case "redirect":
		return exchangeClient{
			exchange:   "{authorizedParty: " + id + ", client: {authentication: serviceAccount}}",
			registered: map[string]any{"id": id, "subject": "system:serviceaccount:" + namespace + ":default"},
		}
	case "loopback":
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		return exchangeClient{
			exchange:   "{client: {id: " + id + ", authentication: privateKeyJWT, secretRef: {name: idp-client, key: credential}}}",
			registered: map[string]any{"id": id, "key": jose.JSONWebKey{Key: key.Public()}},
			credential: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}),
		}
	}
	return exchangeClient{
		exchange:   "{client: {id: " + id + ", secretRef: {name: idp-client, key: credential}}}",
		registered: map[string]any{"id": id, "secret": "s3cret-of-the-sidecar"},
		credential: []byte("s3cret-of-the-sidecar"),
	}
}

// assume has the app take a token to STS itself.
func assume(t *testing.T, namespace, pod, roleName, token string, nameless bool) string {
	t.Helper()
	body, err := json.Marshal(map[string]any{"url": sts, "role": role + roleName, "token": token, "nameless": nameless})
	if err != nil {
		t.Fatal(err)
	}
	answer, err := viaPod(t.Context(), "POST", namespace, pod, "/assume", body)
	if err != nil {
		t.Fatalf("assume: %v: %s", err, answer)
	}
	return string(answer)
}

func TestOnlyTheSidecarHasATokenForSTS(t *testing.T) {
	for _, mode := range modes {
		var ns, roleName, alice, bob string
		var client exchangeClient
		testEnvironment.Test(t, feature("only the sidecar has a token for STS", mode).
			Setup(step(func(t *testing.T) {
				ns, roleName = namespace(t, "e2e-exchange-"+mode, "privileged"), "Exchanged-"+mode
				client = clientOf(t, mode, ns)
				config := exchangeConfig(roleName, client.exchange, "")
				setUpIAM(t, config, false)
				admin(t, "/exchange-client", client.registered)
				t.Cleanup(func() { _, _ = viaService(context.Background(), "POST", "/exchange-fault", []byte("{}")) })
				if client.credential != nil {
					apply(t, secret(ns, "idp-client", "credential", client.credential))
				}
				apply(t, authConfig(ns, "aws", config, ""), agentPod(ns, "agent", mode, "aws", ""))
				waitReady(t, ns, "agent")
				alice, bob = token(t, map[string]any{"sub": "alice"}), token(t, map[string]any{"sub": "bob"})
			})).
			Assess("two users call as themselves", step(func(t *testing.T) {
				for user, token := range map[string]string{"alice": alice, "bob": bob} {
					if got := call(t, ns, "agent", token, "aws___run_script"); got.Text != session+roleName+"/"+user {
						t.Errorf("%s: %+v", user, got)
					}
				}
			})).
			Assess("STS refuses the agent's own token", step(func(t *testing.T) {
				if got := assume(t, ns, "agent", roleName, alice, false); !strings.HasPrefix(got, "403 ") || !strings.Contains(got, "AccessDenied") {
					t.Error(got)
				}
			})).
			Assess("a key that is rotated is learnt", step(func(t *testing.T) {
				carol := token(t, map[string]any{"sub": "carol"})
				admin(t, "/rotate", nil)
				if got := call(t, ns, "agent", carol, "aws___run_script"); got.Text != session+roleName+"/carol" {
					t.Errorf("%+v", got)
				}
			})).
			Assess("an identity provider that fails stops new callers, with their own answer", step(func(t *testing.T) {
				for name, c := range map[string]struct {
					fault map[string]any
					want  string
				}{
					"is away":                  {map[string]any{"status": 503}, "Service Unavailable"},
					"is slow":                  {map[string]any{"latencyMillis": 15_000}, "Service Unavailable"},
					"refuses":                  {map[string]any{"status": 403, "code": "access_denied"}, "Forbidden"},
					"answers garbage":          {map[string]any{"status": 200, "message": "<html>"}, "Service Unavailable"},
					"does not know the client": {map[string]any{"status": 401, "code": "invalid_client"}, "Internal Server Error"},
				} {
					admin(t, "/exchange-fault", c.fault)
					fresh := token(t, map[string]any{"sub": "dave", "jti": name})
					if got := call(t, ns, "agent", fresh, "aws___run_script"); !strings.Contains(got.Error, c.want) {
						t.Errorf("an identity provider that %s: %+v", name, got)
					}
					// Who has a session goes on.
					if got := call(t, ns, "agent", alice, "aws___run_script"); got.Text != session+roleName+"/alice" {
						t.Errorf("while it %s, alice: %+v", name, got)
					}
				}
				admin(t, "/exchange-fault", map[string]any{})
				if got := call(t, ns, "agent", token(t, map[string]any{"sub": "erin"}), "aws___run_script"); got.Text != session+roleName+"/erin" {
					t.Errorf("afterwards: %+v", got)
				}
			})).
			Assess("nothing that the app reads has the exchanged token or the client's credential", step(func(t *testing.T) {
				var readable []string
				decode(t, viaAgent(t, ns, "agent", "/files?dir=/var/run/countersign"), &readable)
				for _, file := range readable {
					if !strings.HasPrefix(file, "/var/run/countersign/ca/") {
						t.Errorf("it reads %s", file)
					}
				}
				if got := viaAgent(t, ns, "agent", "/processes?program=/sidecar"); strings.TrimSpace(string(got)) != "{}" {
					t.Errorf("it sees %s", got)
				}
				log, err := clients.CoreV1().Pods(ns).GetLogs("agent", &corev1.PodLogOptions{Container: "countersign"}).DoRaw(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				pod, err := json.Marshal(getPod(t, ns, "agent").Spec.Containers)
				if err != nil {
					t.Fatal(err)
				}
				texts := map[string]string{"the log": string(log), "the app's container": string(pod)}
				for _, path := range []string{"/metrics", "/status"} {
					texts[path] = string(viaAgent(t, ns, "agent", "/get?url="+url.QueryEscape("http://127.0.0.1:15390"+path)))
				}
				if !strings.Contains(texts["/metrics"], `countersign_token_exchanges_total{result="success"}`) {
					t.Errorf("no exchange is counted: what follows shows nothing: %s", texts["/metrics"])
				}
				for from, text := range texts {
					for _, secret := range []string{"eyJ", "idp-client", string(bytes.TrimSpace(client.credential))} {
						if secret != "" && strings.Contains(text, secret) {
							t.Errorf("%s has %q", from, secret)
						}
					}
				}
			})).
			Feature())
	}
}

func TestThePodCannotReachSTSItself(t *testing.T) {
	var ns, alice string
	testEnvironment.Test(t, feature("the Pod cannot reach STS itself", "redirect").
		Setup(step(func(t *testing.T) {
			ns = namespace(t, "e2e-deny-sts", "privileged")
			open := strings.Replace(bearerConfig, "  awsSts:", "  egress: {denySTS: false}\n  awsSts:", 1)
			apply(t, authConfig(ns, "denying", strings.Replace(open, "false", "true", 1), ""), authConfig(ns, "open", open, ""),
				agentPod(ns, "denied", "redirect", "denying", ""), agentPod(ns, "open", "redirect", "open", ""))
			waitReady(t, ns, "denied")
			waitReady(t, ns, "open")
			alice = token(t, map[string]any{"sub": "alice"})
		})).
		Assess("neither by its name nor by its address", step(func(t *testing.T) {
			for _, nameless := range []bool{false, true} {
				if got := assume(t, ns, "open", "Default", alice, nameless); !strings.HasPrefix(got, "200 ") {
					t.Errorf("without denySTS, nameless %v: %s: what follows shows nothing", nameless, got)
				}
				if got := assume(t, ns, "denied", "Default", alice, nameless); !strings.HasPrefix(got, "unreachable: ") {
					t.Errorf("nameless %v: %s", nameless, got)
				}
			}
		})).
		Assess("the sidecar can, and so can the Pod everything else", step(func(t *testing.T) {
			if got := call(t, ns, "denied", alice, "aws___run_script"); got.Text != session+"Default/alice" {
				t.Errorf("%+v", got)
			}
			if got := string(viaAgent(t, ns, "denied", "/fetch?url="+url.QueryEscape("https://foreign.standins.svc.cluster.local/"))); !strings.Contains(got, "foreign") {
				t.Errorf("%s", got)
			}
		})).
		Assess("the log says so", step(func(t *testing.T) {
			log, err := clients.CoreV1().Pods(ns).GetLogs("denied", &corev1.PodLogOptions{Container: "countersign"}).DoRaw(t.Context())
			if err != nil || !strings.Contains(string(log), "AWS STS was refused (egress.denySTS)") {
				t.Errorf("%v: %s", err, log)
			}
		})).
		Feature())
}

func TestASecretThatIsMissingIsNamed(t *testing.T) {
	var ns string
	testEnvironment.Test(t, feature("a Secret that is missing is named", "").
		Setup(step(func(t *testing.T) {
			ns = namespace(t, "e2e-missing-secret", "privileged")
			client := clientOf(t, "hosts", ns)
			apply(t, authConfig(ns, "aws", exchangeConfig("Missing", client.exchange, ""), ""), agentPod(ns, "agent", "hosts", "aws", ""))
		})).
		Assess("by kubelet's event, and the Pod starts once it is there", step(func(t *testing.T) {
			eventually(t, "the event", 60*time.Second, func(ctx context.Context) error {
				events, err := clients.CoreV1().Events(ns).List(ctx, metav1.ListOptions{})
				if err != nil {
					return err
				}
				for _, event := range events.Items {
					if strings.Contains(event.Message, `"countersign-exchange"`) && strings.Contains(event.Message, `secret "idp-client" not found`) {
						return nil
					}
				}
				return fmt.Errorf("none of %d events names it", len(events.Items))
			})
			apply(t, secret(ns, "idp-client", "credential", []byte("x")))
			eventually(t, "the Pod is ready", 3*time.Minute, func(ctx context.Context) error {
				pod, err := clients.CoreV1().Pods(ns).Get(ctx, "agent", metav1.GetOptions{})
				if err == nil && !isReady(pod) {
					err = fmt.Errorf("phase %s", pod.Status.Phase)
				}
				return err
			})
		})).
		Feature())
}

// opManifest runs the OP of zitadel/oidc in a Pod. It takes tokens of the cluster's
// issuer as what authenticates a client, by a check of the subject and a storage of keys
// that are ours.
const opManifest = `apiVersion: apps/v1
kind: Deployment
metadata: {name: op, namespace: standins}
spec:
  selector: {matchLabels: {app: op}}
  template:
    metadata: {labels: {app: op}}
    spec:
      securityContext: {runAsNonRoot: true, runAsUser: 10001}
      containers:
      - name: op
        image: countersign.io/e2e/op:1
        imagePullPolicy: Never
        readinessProbe: {httpGet: {path: /.well-known/openid-configuration, port: 8080, httpHeaders: [{name: Host, value: op.standins.svc.cluster.local}]}, periodSeconds: 1}
        volumeMounts: [{name: config, mountPath: /config, readOnly: true}]
      volumes: [{name: config, configMap: {name: op}}]
---
apiVersion: v1
kind: Service
metadata: {name: op-plain, namespace: standins}
spec: {selector: {app: op}, ports: [{name: http, port: 8080}]}
`

func keysAt(t *testing.T, path string) json.RawMessage {
	t.Helper()
	text, err := clients.CoreV1().RESTClient().Get().AbsPath(path).DoRaw(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestTheClustersIssuerAuthenticatesTheSidecar(t *testing.T) {
	const opIssuer = "https://op.standins.svc.cluster.local"
	var ns, alice, bob string
	testEnvironment.Test(t, feature("the cluster's issuer authenticates the sidecar at the OP of zitadel/oidc", "hosts").
		Setup(step(func(t *testing.T) {
			ns = namespace(t, "e2e-op", "privileged")
			users, err := viaService(t.Context(), "GET", "/keys", nil)
			if err != nil {
				t.Fatal(err)
			}
			var discovery struct{ Issuer string }
			decode(t, keysAt(t, "/.well-known/openid-configuration"), &discovery)
			settings, err := json.Marshal(map[string]any{
				"issuer": opIssuer, "tokenLifetime": time.Hour,
				"clients": []any{map[string]any{
					"id": "sidecar", "method": "private_key_jwt", "audiences": []string{"sts.amazonaws.com"},
					"assertion": map[string]any{
						"issuer": discovery.Issuer, "subject": "system:serviceaccount:" + ns + ":default", "keys": keysAt(t, "/openid/v1/jwks"),
					},
				}},
				"subjectIssuers": []any{map[string]any{"issuer": issuer, "keys": json.RawMessage(users)}},
			})
			if err != nil {
				t.Fatal(err)
			}
			configMap, err := json.Marshal(&corev1.ConfigMap{
				TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"},
				ObjectMeta: metav1.ObjectMeta{Namespace: "standins", Name: "op"}, Data: map[string]string{"config.json": string(settings)},
			})
			if err != nil {
				t.Fatal(err)
			}
			apply(t, string(configMap))
			apply(t, opManifest)
			rolledOut(t, "standins", "op")
			config := exchangeConfig("OP", "{issuer: \""+opIssuer+"\", subjectTokenType: jwt, authorizedParty: sidecar, client: {authentication: serviceAccount}}", "")
			setUpIAM(t, config, true)
			apply(t, authConfig(ns, "aws", config, ""), agentPod(ns, "agent", "hosts", "aws", ""))
			waitReady(t, ns, "agent")
			alice, bob = opToken(t, "alice", opIssuer), opToken(t, "bob", opIssuer)
			// This OP is new, and its Pod can be ready before its Service leads there; a sidecar that
			// was refused asks again within seconds, and tells callers to come back until then.
			eventually(t, "the OP is reached", 2*time.Minute, func(context.Context) error {
				if got := call(t, ns, "agent", alice, "aws___run_script"); strings.Contains(got.Error, "Service Unavailable") {
					log, _ := kubectl(t.Context(), "", "-n", ns, "logs", "agent", "-c", "countersign", "--tail=3")
					t.Log(log)
					return errors.New(got.Error)
				}
				return nil
			})
		})).
		Assess("two users call as themselves", step(func(t *testing.T) {
			for user, token := range map[string]string{"alice": alice, "bob": bob} {
				if got := call(t, ns, "agent", token, "aws___run_script"); got.Text != session+"OP/"+user {
					t.Errorf("%s: %+v", user, got)
				}
			}
		})).
		Assess("STS refuses the agent's own token", step(func(t *testing.T) {
			if got := assume(t, ns, "agent", "OP", alice, false); !strings.HasPrefix(got, "403 ") {
				t.Error(got)
			}
		})).
		Assess("another service account is not the client", step(func(t *testing.T) {
			apply(t, "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: other, namespace: "+ns+"}\n",
				strings.Replace(agentPod(ns, "other", "hosts", "aws", ""), "spec:\n", "spec:\n  serviceAccountName: other\n", 1))
			waitReady(t, ns, "other")
			if got := call(t, ns, "other", alice, "aws___run_script"); !strings.Contains(got.Error, "Internal Server Error") {
				t.Errorf("%+v", got)
			}
		})).
		Feature())
}

// opToken is a caller's token that the OP takes too.
func opToken(t *testing.T, subject, op string) string {
	t.Helper()
	body, err := json.Marshal(map[string]any{"sub": subject, "aud": []string{"countersign", op}})
	if err != nil {
		t.Fatal(err)
	}
	text, err := viaService(t.Context(), "POST", "/token", body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
