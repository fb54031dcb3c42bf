//go:build e2e

package e2e

import (
	"slices"
	"strconv"
	"strings"
	"testing"
)

// linkMiB is the pace of a server on a network of 1 Gbit/s, in MiB/s.
const linkMiB = 119

const foreign = "https://foreign.standins.svc.cluster.local/"

func TestForeignTrafficPasses(t *testing.T) {
	var ns string
	testEnvironment.Test(t, feature("foreign HTTPS traffic passes", "").
		Setup(step(func(t *testing.T) {
			ns = namespace(t, "e2e-foreign", "privileged")
			apply(t, authConfig(ns, "aws", bearerConfig, bearerPolicies))
			for _, mode := range modes {
				apply(t, agentPod(ns, "agent-"+mode, mode, "aws", ""))
			}
			for _, mode := range modes {
				waitReady(t, ns, "agent-"+mode)
			}
		})).
		Assess("the server's own certificate is seen in every mode", step(func(t *testing.T) {
			roots := map[string]string{}
			for _, mode := range modes {
				var answer struct{ Body, Root string }
				decode(t, viaAgent(t, ns, "agent-"+mode, "/fetch?url="+foreign), &answer)
				if answer.Body != "foreign" {
					t.Errorf("%s: %+v", mode, answer)
				}
				roots[mode] = answer.Root
			}
			if roots["redirect"] != roots["loopback"] || roots["hosts"] != roots["loopback"] {
				t.Errorf("the certificates differ: %v", roots)
			}
			if got := viaAgent(t, ns, "agent-redirect", "/fetch?url="+upstream); !strings.Contains(string(got), "countersign pod CA") {
				t.Errorf("that of an upstream is not the sidecar's: what was seen shows nothing: %s", got)
			}
		})).
		// In mode loopback nothing is intercepted: it is what the others are compared with.
		Assess("within 10 % of unintercepted where the server's network gives a gigabit a second", step(func(t *testing.T) {
			rates := compareDownloads(t, ns, 3, foreign+"?mib=256&pace="+strconv.Itoa(linkMiB))
			for _, mode := range []string{"hosts", "redirect"} {
				if ratio := medianRatio(rates[mode], rates["loopback"]); ratio < 0.9 {
					t.Errorf("mode %s: %.2f of unintercepted: %v", mode, ratio, rates)
				} else {
					t.Logf("mode %s: %.2f of unintercepted (%.0f MiB/s)", mode, ratio, slices.Max(rates[mode]))
				}
			}
		})).
		// The cores of the node carry both ends, TLS and everything between. What the
		// sidecar takes of them the ends do not get, so that this says more of the node
		// than of the sidecar; the bound is loose for that.
		Assess("and where the node's processors are the limit", step(func(t *testing.T) {
			// What else runs on the node can take the processors from either side: a
			// ratio that is too low is measured again.
			const attempts = 3
			for attempt := range attempts {
				rates := compareDownloads(t, ns, 5, foreign+"?mib=256")
				enough := true
				for mode, least := range map[string]float64{"hosts": 0.7, "redirect": 0.25} {
					ratio := medianRatio(rates[mode], rates["loopback"])
					t.Logf("mode %s: %.2f of unintercepted (%.0f MiB/s)", mode, ratio, slices.Max(rates[mode]))
					if enough = enough && ratio >= least; ratio < least && attempt == attempts-1 {
						t.Errorf("mode %s: %.2f of unintercepted: %v", mode, ratio, rates)
					}
				}
				if enough {
					return
				}
			}
		})).
		Feature())
}

// compareDownloads tells how fast a URL is read in each mode, in MiB/s, in turn.
func compareDownloads(t *testing.T, namespace string, times int, url string) map[string][]float64 {
	t.Helper()
	rates := map[string][]float64{}
	for range times {
		for _, mode := range modes {
			text := viaAgent(t, namespace, "agent-"+mode, "/download?url="+strings.ReplaceAll(url, "&", "%26"))
			rate, err := strconv.ParseFloat(string(text), 64)
			if err != nil {
				t.Fatal(err)
			}
			rates[mode] = append(rates[mode], rate)
		}
	}
	return rates
}

func medianRatio(ours, others []float64) float64 {
	ratios := make([]float64, len(ours))
	for n := range ours {
		ratios[n] = ours[n] / others[n]
	}
	slices.Sort(ratios)
	return ratios[len(ratios)/2]
}
