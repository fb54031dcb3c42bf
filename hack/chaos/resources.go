package main

import (
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/countersign-io/countersign/e2e/standin"
	dto "github.com/prometheus/client_model/go"
)

// containerMemory is what the runtime would take from the memory limit of the injected
// container, memoryLimit in MiB.
const (
	containerMemory = "GOMEMLIMIT=90MiB"
	memoryLimit     = 128
)

// resources are what a process holds; memory is in MiB.
type resources struct {
	goroutines, descriptors int
	resident, peak          int
}

func (s *scene) metrics() (map[string]*dto.MetricFamily, error) {
	return standin.Metrics(s.running().Admin + "/metrics")
}

// reloaded fails where there were fewer reloads with that result.
func (s *scene) reloaded(result string, atLeast float64) error {
	families, err := s.metrics()
	if err != nil {
		return err
	}
	for _, metric := range families["countersign_config_reloads_total"].GetMetric() {
		if metric.GetLabel()[0].GetValue() == result && metric.GetCounter().GetValue() >= atLeast {
			return nil
		}
	}
	return fmt.Errorf("there were fewer than %g reloads with the result %s", atLeast, result)
}

func (s *scene) resources() (resources, error) {
	p := s.running()
	var r resources
	families, err := s.metrics()
	if err != nil {
		return r, err
	}
	if family := families["go_goroutines"]; family != nil {
		r.goroutines = int(family.GetMetric()[0].GetGauge().GetValue())
	}
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.PID))
	if err != nil {
		return r, fmt.Errorf("count descriptors: %w", err)
	}
	r.descriptors = len(open)
	for name, into := range map[string]*int{"VmRSS": &r.resident, "VmHWM": &r.peak} {
		if *into, err = memoryField(p.PID, name); err != nil {
			return r, err
		}
	}
	return r, nil
}

func memoryField(pid int, name string) (int, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, fmt.Errorf("read memory: %w", err)
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, name+":"); ok {
			kib, err := strconv.Atoi(strings.Fields(rest)[0])
			return kib >> 10, err
		}
	}
	return 0, fmt.Errorf("read memory: no %s", name)
}

// settled are the resources once nobody calls and no connection is kept for later.
func (s *scene) settled() (resources, error) {
	s.client.CloseIdleConnections()
	http.DefaultClient.CloseIdleConnections()
	for _, l := range []*link{s.toIssuer, s.toSTS, s.toUpstream} {
		l.closeAll()
	}
	time.Sleep(500 * time.Millisecond)
	return s.resources()
}

// comeBack waits until no more is held than before, or for as long as the longest of the
// sidecar's own time limits takes.
func (s *scene) comeBack(before resources) (after resources, err error) {
	for end := time.Now().Add(maxSettling); ; time.Sleep(time.Second) {
		if after, err = s.settled(); err != nil {
			return after, err
		}
		if after.goroutines <= before.goroutines+spareGoroutines &&
			after.descriptors <= before.descriptors+spareDescriptors {
			return after, nil
		}
		if time.Now().After(end) {
			return after, fmt.Errorf("%d goroutines and %d descriptors, %d and %d before",
				after.goroutines, after.descriptors, before.goroutines, before.descriptors)
		}
	}
}

const (
	maxSettling = 20 * time.Second
	// What the runtime and the reading of the metrics themselves take.
	spareGoroutines, spareDescriptors = 6, 4
)
