package residentmemory

import (
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func TestOnlyWhatIsReadOfTheProgramIsGivenBack(t *testing.T) {
	const program = "/sidecar"
	tests := map[string]struct {
		line          string
		begin, length uintptr
	}{
		"code":                    {"00400000-01203000 r-xp 00000000 00:1f 1234    /sidecar", 0x400000, 0xe03000},
		"constants":               {"01203000-02800000 r--p 00e03000 00:1f 1234    /sidecar", 0x1203000, 0x15fd000},
		"variables":               {"02800000-02880000 rw-p 02400000 00:1f 1234    /sidecar", 0, 0},
		"memory":                  {"c000000000-c000800000 rw-p 00000000 00:00 0 ", 0, 0},
		"another file":            {"7f0000000000-7f0000001000 r--p 00000000 00:1f 99    /etc/hosts", 0, 0},
		"a file that was removed": {"00400000-01203000 r-xp 00000000 00:1f 1234    /sidecar (deleted)", 0x400000, 0xe03000},
		"no line at all":          {"", 0, 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			begin, length, ok := programMapping(test.line, program)
			if begin != test.begin || length != test.length || ok != (test.length > 0) {
				t.Errorf("got %#x, %#x, %v", begin, length, ok)
			}
		})
	}
}

func TestPagesOfTheProcessesOwnStay(t *testing.T) {
	const smaps = `00400000-01203000 r-xp 00000000 00:1f 1234    /sidecar
Size:              14348 kB
Anonymous:             0 kB
VmFlags: rd ex mr mw me
01203000-01600000 r--p 00e03000 00:1f 1234    /sidecar
Anonymous:          3988 kB
01600000-02800000 r--p 01200000 00:1f 1234    /sidecar
Anonymous:             0 kB
02800000-02880000 rw-p 02400000 00:1f 1234    /sidecar
Anonymous:             0 kB
`
	want := []mapping{{0x400000, 0xe03000}, {0x1600000, 0x1200000}}
	if got := unchangedMappings(strings.NewReader(smaps), "/sidecar"); !slices.Equal(got, want) {
		t.Errorf("got %#x", got)
	}
}

// residentOfFiles is RssFile of proc_pid_status(5), in KiB.
func residentOfFiles(t *testing.T) int {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`RssFile:\s+(\d+) kB`).FindSubmatch(status)
	if found == nil {
		t.Skip("this kernel does not tell RssFile")
	}
	kib, err := strconv.Atoi(string(found[1]))
	if err != nil {
		t.Fatal(err)
	}
	return kib
}

func TestTheProgramGoesOnWithoutItsPages(t *testing.T) {
	before := residentOfFiles(t)
	releaseProgramPages()
	// How much goes depends on how the test was linked.
	if after := residentOfFiles(t); after >= before {
		t.Errorf("%d KiB of the program are mapped after %d KiB", after, before)
	}
	TestOnlyWhatIsReadOfTheProgramIsGivenBack(t)
}
