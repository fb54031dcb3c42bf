package sidecar

import (
	"bufio"
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
// Read-only mappings of a file are what the file has: to drop them loses nothing, see
// MADV_DONTNEED in madvise(2).
func releaseProgramPages() {
	self, err := os.Readlink("/proc/self/exe")
	if err != nil {
		slog.Debug("the program's pages stay mapped", "error", err)
		return
	}
	maps, err := os.Open("/proc/self/maps")
	if err != nil {
		slog.Debug("the program's pages stay mapped", "error", err)
		return
	}
	defer func() { _ = maps.Close() }()
	lines := bufio.NewScanner(maps)
	for lines.Scan() {
		begin, length, ok := programMapping(lines.Text(), self)
		if !ok {
			continue
		}
		if _, _, errno := unix.Syscall(unix.SYS_MADVISE, begin, length, unix.MADV_DONTNEED); errno != 0 {
			slog.Debug("the program's pages stay mapped", "error", errno)
		}
	}
}

// programMapping reads a line of /proc/self/maps; ok is true for what is mapped of the
// program and cannot be written: see proc_pid_maps(5).
func programMapping(line, program string) (begin, length uintptr, ok bool) {
	fields := strings.Fields(line)
	const address, permissions, inode, path = 0, 1, 4, 5
	if len(fields) <= path || fields[path] != program || fields[inode] == "0" || strings.Contains(fields[permissions], "w") {
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
