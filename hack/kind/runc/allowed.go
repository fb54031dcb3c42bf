package main

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// limits are what a process of this machine may give a container.
type limits struct {
	// capabilities is the bounding set, a bit for each.
	capabilities uint64
	oomScoreAdj  int
	// hard has the hard limit of each resource.
	hard map[string]uint64
}

// capabilityNames are in the kernel's order: linux/capability.h.
var capabilityNames = []string{
	"CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP",
	"LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER",
	"SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE",
	"SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP",
	"MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF",
	"CHECKPOINT_RESTORE",
}

var resources = map[string]int{
	"RLIMIT_AS": unix.RLIMIT_AS, "RLIMIT_CORE": unix.RLIMIT_CORE, "RLIMIT_CPU": unix.RLIMIT_CPU,
	"RLIMIT_DATA": unix.RLIMIT_DATA, "RLIMIT_FSIZE": unix.RLIMIT_FSIZE, "RLIMIT_LOCKS": unix.RLIMIT_LOCKS,
	"RLIMIT_MEMLOCK": unix.RLIMIT_MEMLOCK, "RLIMIT_MSGQUEUE": unix.RLIMIT_MSGQUEUE, "RLIMIT_NICE": unix.RLIMIT_NICE,
	"RLIMIT_NOFILE": unix.RLIMIT_NOFILE, "RLIMIT_NPROC": unix.RLIMIT_NPROC, "RLIMIT_RSS": unix.RLIMIT_RSS,
	"RLIMIT_RTPRIO": unix.RLIMIT_RTPRIO, "RLIMIT_RTTIME": unix.RLIMIT_RTTIME,
	"RLIMIT_SIGPENDING": unix.RLIMIT_SIGPENDING, "RLIMIT_STACK": unix.RLIMIT_STACK,
}

// allowedHere reads the limits of this process.
func allowedHere() (limits, error) {
	l := limits{hard: map[string]uint64{}}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return l, err
	}
	for line := range strings.Lines(string(status)) {
		if set, ok := strings.CutPrefix(line, "CapBnd:"); ok {
			if l.capabilities, err = strconv.ParseUint(strings.TrimSpace(set), 16, 64); err != nil {
				return l, fmt.Errorf("/proc/self/status: CapBnd: %w", err)
			}
		}
	}
	score, err := os.ReadFile("/proc/self/oom_score_adj")
	if err != nil {
		return l, err
	}
	if l.oomScoreAdj, err = strconv.Atoi(strings.TrimSpace(string(score))); err != nil {
		return l, fmt.Errorf("/proc/self/oom_score_adj: %w", err)
	}
	for name, resource := range resources {
		var r unix.Rlimit
		if err := unix.Getrlimit(resource, &r); err != nil {
			return l, fmt.Errorf("getrlimit %s: %w", name, err)
		}
		l.hard[name] = r.Max
	}
	return l, nil
}

func (l limits) has(capability string) bool {
	bit := slices.Index(capabilityNames, strings.TrimPrefix(capability, "CAP_"))
	return bit >= 0 && l.capabilities&(1<<bit) != 0
}

// rlimit is one of a specification's POSIX limits.
type rlimit struct {
	Type string `json:"type"`
	Hard uint64 `json:"hard"`
	Soft uint64 `json:"soft"`
}

// fit takes out of a specification what the machine would refuse; the rest stays
// as it is. Whoever may raise limits keeps them all.
func (l limits) fit(spec []byte, part string) ([]byte, error) {
	process, container := map[string]json.RawMessage{}, map[string]json.RawMessage{}
	if part == processAlone {
		if err := json.Unmarshal(spec, &process); err != nil {
			return nil, err
		}
	} else {
		if err := json.Unmarshal(spec, &container); err != nil {
			return nil, err
		}
		if err := json.Unmarshal(container[part], &process); err != nil {
			return nil, fmt.Errorf("%s: %w", part, err)
		}
	}
	if err := l.fitProcess(process); err != nil {
		return nil, err
	}
	fitted, err := json.Marshal(process)
	if err != nil || part == processAlone {
		return fitted, err
	}
	container[part] = fitted
	return json.Marshal(container)
}

func (l limits) fitProcess(process map[string]json.RawMessage) error {
	if err := l.fitCapabilities(process); err != nil {
		return fmt.Errorf("capabilities: %w", err)
	}
	if l.has("SYS_RESOURCE") {
		return nil
	}
	var score *int
	if err := decode(process, "oomScoreAdj", &score); err != nil {
		return err
	}
	if score != nil && *score < l.oomScoreAdj {
		delete(process, "oomScoreAdj")
	}
	var asked []rlimit
	if err := decode(process, "rlimits", &asked); err != nil || asked == nil {
		return err
	}
	asked = slices.DeleteFunc(asked, func(r rlimit) bool { return r.Hard > l.hard[r.Type] })
	return encode(process, "rlimits", asked)
}

func (l limits) fitCapabilities(process map[string]json.RawMessage) error {
	var sets map[string][]string
	if err := decode(process, "capabilities", &sets); err != nil || sets == nil {
		return err
	}
	for name, set := range sets {
		sets[name] = slices.DeleteFunc(set, func(c string) bool { return !l.has(c) })
	}
	return encode(process, "capabilities", sets)
}

func decode(process map[string]json.RawMessage, member string, into any) error {
	if process[member] == nil {
		return nil
	}
	if err := json.Unmarshal(process[member], into); err != nil {
		return fmt.Errorf("%s: %w", member, err)
	}
	return nil
}

func encode(process map[string]json.RawMessage, member string, what any) error {
	encoded, err := json.Marshal(what)
	if err != nil {
		return fmt.Errorf("%s: %w", member, err)
	}
	process[member] = encoded
	return nil
}
