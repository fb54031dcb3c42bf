//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"
)

// The kubelet asks for a new token after 80 % of the old one's life, which Kubernetes
// wants to be 10 minutes or more. This test begins first and waits while the others
// run.
func TestATokenIsRotated(t *testing.T) {
	ns := namespace(t, "e2e-rotation", "privileged")
	exchanges := func(t *testing.T) (n int) {
		t.Helper()
		for _, granted := range standinsSaw(t).Granted {
			if strings.Contains(granted.Subject, ":"+ns+":") {
				n++
			}
		}
		return n
	}
	before := exchanges(t)
	var began time.Time
	testEnvironment.Test(t, feature("a Pod begins with its first token", "").
		Assess("it is exchanged once", step(func(t *testing.T) {
			apply(t, authConfig(ns, "aws", accountConfig, ""), agentPod(ns, "agent", "hosts", "aws", ""))
			waitReady(t, ns, "agent")
			began = time.Now()
			for range 2 {
				if got := call(t, ns, "agent", "", "aws___run_script"); got.Error != "" {
					t.Fatal(got.Error)
				}
			}
			if n := exchanges(t) - before; n != 1 {
				t.Errorf("%d exchanges", n)
			}
		})).
		Feature())
	// The app goes on calling while other tests run.
	failed := make(chan error, 1)
	stop := make(chan struct{})
	defer close(stop)
	go func() { failed <- callUntil(stop, ns, "agent") }()
	t.Parallel()
	testEnvironment.Test(t, feature("its token is rotated", "").
		Assess("the sidecar exchanges the new one, and no call fails", step(func(t *testing.T) {
			eventually(t, "there is a second exchange", 12*time.Minute, func(context.Context) error {
				select {
				case err := <-failed:
					t.Fatalf("%v after the start: %v", time.Since(began), err)
				case <-time.After(5 * time.Second):
				}
				if n := exchanges(t) - before; n < 2 {
					return fmt.Errorf("%d exchanges", n)
				}
				return nil
			})
			select {
			case err := <-failed:
				t.Fatal(err)
			default:
			}
			t.Logf("seen %v after the start", time.Since(began).Round(time.Second))
		})).
		Feature())
}

// callUntil calls every two seconds and ends with the app's first failure. What fails
// between the test and the app is not the app's, unless it lasts.
func callUntil(stop <-chan struct{}, ns, pod string) error {
	lost := 0
	for {
		select {
		case <-stop:
			return nil
		case <-time.After(2 * time.Second):
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		text, err := viaPod(ctx, "POST", ns, pod, "/call", whoAmI())
		cancel()
		switch {
		case err != nil && lost < 3:
			lost++
		case err != nil:
			return fmt.Errorf("%w: %s", err, text)
		case !strings.Contains(string(text), "Workload"):
			return fmt.Errorf("the app was told %s", text)
		default:
			lost = 0
		}
	}
}

func TestAWorkloadActsAsItselfWithinTheRestrictedLevel(t *testing.T) {
	var ns string
	f := feature("a workload acts as itself in a namespace at the restricted level", "").
		Setup(step(func(t *testing.T) {
			ns = namespace(t, "e2e-restricted", "restricted")
			apply(t, authConfig(ns, "aws", accountConfig, ""))
		}))
	for _, mode := range []string{"hosts", "loopback"} {
		f.Assess("mode "+mode+" works", step(func(t *testing.T) {
			apply(t, agentPod(ns, "agent-"+mode, mode, "aws", ""))
			waitReady(t, ns, "agent-"+mode)
			got := call(t, ns, "agent-"+mode, "", "aws___run_script")
			if want := session + "Workload/system-serviceaccount-" + ns + "-default"; !strings.HasPrefix(got.Text, want) {
				t.Errorf("it is %q, %s", got.Text, got.Error)
			}
		}))
	}
	f.Assess("mode redirect is refused with a reason", step(func(t *testing.T) {
		_, err := kubectl(t.Context(), agentPod(ns, "agent-redirect", "redirect", "aws", ""), "apply", "-f", "-")
		if err == nil || !strings.Contains(err.Error(), "mode redirect needs an init container with NET_ADMIN") {
			t.Errorf("got %v", err)
		}
	}))
	testEnvironment.Test(t, f.Feature())
}
