package inject_test

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/countersign-io/countersign/pkg/inject"
)

func TestTheSidecarTakesTheSecondUIDOfTheNamespace(t *testing.T) {
	configs := readConfigs(t)
	for name, c := range map[string]struct {
		uidRange, mode string
		runAsUser      *int64
		want           string
	}{
		"a first uid and a length":            {"1000660000/10000", "hosts", nil, "1000660001"},
		"a first and a last uid":              {"1000660000-1000669999", "hosts", nil, "1000660001"},
		"several ranges":                      {"1000660000/10000,2000/10", "hosts", nil, "1000660001"},
		"no range":                            {"", "hosts", nil, "15337"},
		"a range of one":                      {"1000660000/1", "hosts", nil, "UIDRange"},
		"something else":                      {"all", "hosts", nil, "UIDRange"},
		"a container that runs as that":       {"1000660000/10000", "hosts", ptr.To[int64](1000660001), "ReservedUser"},
		"redirect, and the uid is not known":  {"1000660000/10000", "redirect", nil, "UserUnknown"},
		"redirect, and the uid is another":    {"1000660000/10000", "redirect", ptr.To[int64](1000660000), "1000660001"},
		"15337 is anybody's where it is free": {"1000660000/10000", "hosts", ptr.To[int64](15337), "1000660001"},
	} {
		t.Run(name, func(t *testing.T) {
			pod := &corev1.Pod{
				ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{inject.AnnotationAuthConfig: "bearer", inject.AnnotationIntercept: c.mode}},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "agent", SecurityContext: &corev1.SecurityContext{RunAsUser: c.runAsUser}}}},
			}
			namespace := inject.Namespace{Name: "agents", Annotations: map[string]string{}}
			if c.uidRange != "" {
				namespace.Annotations["openshift.io/sa.scc.uid-range"] = c.uidRange
			}
			injection, refusal := inject.Pod(pod, namespace, configs["bearer"], inject.Options{Image: "sidecar", UserOfNamespace: true})
			got := ""
			if refusal != nil {
				got = string(refusal.Code)
			} else {
				for _, operation := range injection.Operations {
					if containers, ok := operation.Value.([]corev1.Container); ok {
						got = fmt.Sprint(*containers[0].SecurityContext.RunAsUser)
						if c.mode == "redirect" && !strings.Contains(fmt.Sprint(containers[1].Args), "--uid="+got) {
							t.Errorf("the rules spare another uid: %v", containers[1].Args)
						}
					}
				}
			}
			if got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}
