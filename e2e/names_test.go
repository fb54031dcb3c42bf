//go:build e2e

package e2e

import (
	"fmt"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestNamesAreLookedUpAsThePodSays has the Pod's resolv.conf name a DNS that
// answers over TCP only, with the upstream under a search domain. Its short name
// alone leads nowhere: ndots says that it is not tried first.
func TestNamesAreLookedUpAsThePodSays(t *testing.T) {
	const short, long = "aws-mcp.internal", "aws-mcp.internal.corp.example."
	for _, mode := range modes {
		var ns string
		var before seen
		testEnvironment.Test(t, feature("the Pod has a DNS of its own", mode).
			Setup(step(func(t *testing.T) {
				ns = namespace(t, "e2e-names-"+mode, "privileged")
				service, err := clients.CoreV1().Services("standins").Get(t.Context(), "names", metav1.GetOptions{})
				if err != nil {
					t.Fatal(err)
				}
				config := strings.Replace(accountConfig, upstream, "https://"+short+"/mcp", 1)
				pod := strings.Replace(agentPod(ns, "agent", mode, "aws", ""), upstream, "https://"+short+"/mcp", 1)
				pod += fmt.Sprintf("  dnsPolicy: None\n  dnsConfig: {nameservers: [%q], searches: [corp.example], options: [{name: ndots, value: \"2\"}]}\n", service.Spec.ClusterIP)
				before = standinsSaw(t)
				apply(t, authConfig(ns, "aws", config, ""), pod)
				waitReady(t, ns, "agent")
			})).
			Assess("its search domains and ndots apply", step(func(t *testing.T) {
				if got := call(t, ns, "agent", "", "aws___run_script"); !strings.Contains(got.Text, session+"Workload") {
					t.Errorf("%+v", got)
				}
			})).
			Assess("an answer that was cut off is asked for over TCP", step(func(t *testing.T) {
				after := standinsSaw(t)
				for _, network := range []string{"udp ", "tcp "} {
					if after.Asked[network+long] == before.Asked[network+long] {
						t.Errorf("nobody asked: %s", network+long)
					}
				}
				if n := after.Asked["tcp "+short+"."] - before.Asked["tcp "+short+"."]; n > 0 {
					t.Errorf("the short name was asked for %d times", n)
				}
			})).
			Feature())
	}
}
