package residentmemory

import (
	"bufio"
	"io"
	"log/slog"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// releaseProgramPages gives back the pages of the program that are mapped: starting
// needs most of them, with all that validates and compiles an auth-config, serving few,
// and the kernel maps sixteen around each that is touched. They stay in its cache, are
// mapped again when they are used, and are the first to go where memory is short.
//
// A mapping all of whose pages are the file's loses nothing by it (MADV_DONTNEED in
// madvise(2)). One that has pages of its own is left alone: relocations of a program that
// is position-independent, a debugger's breakpoints.
func releaseProgramPages() {
	self, err := os.Readlink("/proc/self/exe")
	if err != nil {
		slog.Debug("the program's pages stay mapped", "error", err)
		return
	}
	maps, err := os.Open("/proc/self/smaps")
	if err != nil {
		slog.Debug("the program's pages stay mapped", "error", err)
		return
	}
	defer func() { _ = maps.Close() }()
	for _, m := range unchangedMappings(maps, self) {
		if _, _, errno := unix.Syscall(unix.SYS_MADVISE, m.begin, m.length, unix.MADV_DONTNEED); errno != 0 {
			slog.Debug("the program's pages stay mapped", "error", errno)
		}
	}
}

type mapping struct{ begin, length uintptr }

// unchangedMappings are the program's read-only ones whose pages are all the file's, of
// /proc/self/smaps: see proc_pid_smaps(5).
func unchangedMappings(smaps io.Reader, program string) (unchanged []mapping) {
	var current mapping
	lines := bufio.NewScanner(smaps)
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), ":")
		switch {
		case strings.Contains(name, "-"):
			begin, length, _ := programMapping(lines.Text(), program)
			current = mapping{begin, length}
		case name == "Anonymous" && current.length > 0 && strings.TrimSpace(value) == "0 kB":
			unchanged = append(unchanged, current)
		}
	}
	return unchanged
}

// programMapping reads the head of a mapping; ok is true for what is mapped of the
// program and cannot be written: see proc_pid_maps(5).
func programMapping(line, program string) (begin, length uintptr, ok bool) {
	fields := strings.Fields(line)
	const address, permissions, inode, path = 0, 1, 4, 5
	if len(fields) <= path || fields[path] != program || fields[inode] == "0" ||
		strings.Contains(fields[permissions], "w") {
		return 0, 0, false
	}
	from, to, _ := strings.Cut(fields[address], "-")
	first, err := strconv.ParseUint(from, 16, 64)
	if err != nil {
		return 0, 0, false
	}
	end, err := strconv.ParseUint(to, 16, 64)
	if err != nil || end <= first {
		return 0, 0, false
	}
	return uintptr(first), uintptr(end - first), true
}
