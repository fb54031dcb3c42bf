package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// process is a stand-in that runs by itself, as the sidecar does: sharing a process with
// the client would make it cheaper.
type process struct {
	url     string
	command *exec.Cmd
}

// serveRole serves until the process is killed; it prints its URL first.
func serveRole(handler http.Handler) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("serve: %w", err)
	}
	fmt.Println("http://" + listener.Addr().String())
	return http.Serve(listener, handler)
}

// startRole runs this binary with the flags of one of its roles.
func startRole(ctx context.Context, arguments ...string) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find the benchmark's binary: %w", err)
	}
	p := &process{command: exec.CommandContext(ctx, self, arguments...)}
	p.command.Stderr = os.Stderr
	p.command.Env = append(os.Environ(), containerMemory)
	stdout, err := p.command.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start %v: %w", arguments, err)
	}
	if err := p.command.Start(); err != nil {
		return nil, fmt.Errorf("start %v: %w", arguments, err)
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		p.stop()
		return nil, fmt.Errorf("start %v: %w", arguments, err)
	}
	p.url = strings.TrimSpace(line)
	return p, nil
}

func (p *process) pid() int { return p.command.Process.Pid }

func (p *process) stop() {
	_ = p.command.Process.Kill()
	_ = p.command.Wait()
}

// processorTime is what the operating system has charged a process with, user and system, to the
// nanosecond: its clock, whose number is made as in clock_getcpuclockid(3).
func processorTime(pid int) (time.Duration, error) {
	const schedulerClock = 2
	var charged unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|schedulerClock), &charged); err != nil {
		return 0, fmt.Errorf("read processor time: %w", err)
	}
	return time.Duration(charged.Nano()), nil
}

// statusField is a number of /proc/PID/status; memory there is in KiB.
func statusField(pid int, name string) (int, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, fmt.Errorf("read %s: %w", name, err)
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, name+":"); ok {
			return strconv.Atoi(strings.Fields(rest)[0])
		}
	}
	return 0, fmt.Errorf("read %s: there is none", name)
}

// residentMiB is what of a process is in memory.
func residentMiB(pid int) (float64, error) {
	kib, err := statusField(pid, "VmRSS")
	return float64(kib) / 1024, err
}

// wakeUps counts in how many hundredths of a second some thread of a process was woken: what
// one event sets off counts once.
func wakeUps(pid int, length time.Duration) (int, error) {
	const pause = 10 * time.Millisecond
	last, err := waits(pid)
	count := 0
	for end := time.Now().Add(length); err == nil && time.Now().Before(end); {
		time.Sleep(pause)
		var now int
		if now, err = waits(pid); now != last {
			count++
		}
		last = now
	}
	return count, err
}

// waits counts how often threads of a process gave up the processor to wait.
func waits(pid int) (int, error) {
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		return 0, fmt.Errorf("count wake-ups: %w", err)
	}
	total := 0
	for _, task := range tasks {
		tid, err := strconv.Atoi(task.Name())
		if err != nil {
			return 0, fmt.Errorf("count wake-ups: %w", err)
		}
		count, err := statusField(tid, "voluntary_ctxt_switches")
		if err != nil {
			return 0, err
		}
		total += count
	}
	return total, nil
}
