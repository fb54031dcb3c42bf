package awscode_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/countersign-io/countersign/pkg/awscode"
)

// parses tells of each script, a JSON string a line, whether Python's ast takes it;
// first it gives the minor version.
const parses = `
import ast, json, sys, warnings
warnings.simplefilter("ignore")
print(sys.version_info.minor, flush=True)
for line in sys.stdin:
    try:
        ast.parse(json.loads(line))
        print("true", flush=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        print("false", flush=True)
`

// pythonParser is a python3 that parses.
type pythonParser struct {
	minor int
	in    io.Writer
	out   *bufio.Scanner
}

// startPython is nil where there is no python3.
func startPython(tb testing.TB) *pythonParser {
	tb.Helper()
	command := exec.CommandContext(tb.Context(), "python3", "-I", "-S", "-c", parses)
	in, err := command.StdinPipe()
	if err != nil {
		tb.Fatal(err)
	}
	out, err := command.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if command.Start() != nil {
		return nil
	}
	tb.Cleanup(func() {
		_ = in.Close()
		_ = command.Wait()
	})
	p := &pythonParser{in: in, out: bufio.NewScanner(out)}
	if !p.out.Scan() {
		return nil
	}
	p.minor, err = strconv.Atoi(p.out.Text())
	if err != nil {
		return nil
	}
	return p
}

var typeParameters = regexp.MustCompile(`\btype\b|\b(class|def)\b[^\n(:]*\[`)

// compare reports a script on which python3 and the reader disagree; it gives false
// for one that cannot be compared.
func (p *pythonParser) compare(tb testing.TB, script string) bool {
	tb.Helper()
	// Python 3.12 has f-strings and type parameters that older ones refuse.
	const sameFStrings = 12
	r := awscode.Read(script)
	if r.Cause == awscode.CauseText || strings.HasPrefix(script, "\ufeff") ||
		p.minor < sameFStrings && (hasFString(script) || typeParameters.MatchString(script)) {
		return false
	}
	line, err := json.Marshal(script)
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := p.in.Write(append(line, '\n')); err != nil || !p.out.Scan() {
		tb.Fatalf("python3 ended: %v", err)
	}
	takes, ours := p.out.Text() == "true", r.Cause != awscode.CauseSyntax
	// What Python refuses only when it compiles, or reads deeper than we do.
	excused := takes && (strings.Contains(r.Reason, "stands twice") || strings.Contains(r.Reason, "too deep") ||
		strings.Contains(r.Reason, "this reader does not follow") || strings.Contains(r.Reason, "a backslash") ||
		strings.Contains(r.Reason, "too many"))
	// Python's Unicode may be older than Go's.
	excused = excused || !takes && strings.ContainsFunc(script, func(r rune) bool { return r >= utf8.RuneSelf })
	if ours != takes && !excused {
		tb.Errorf("Python: %v, here: %v (%s, line %d)\n%s", takes, ours, r.Reason, r.Line, script)
	}
	return true
}

// broken makes variants of a script: pieces of it are dropped, doubled or exchanged.
func broken(script string, seed uint64, count int) []string {
	pick := func(n int) int {
		seed ^= seed << 13
		seed ^= seed >> 7
		seed ^= seed << 17
		return int(seed % uint64(n))
	}
	marks := []string{
		"(", ")", "[", "]", "{", "}", ":", ",", "=", ":=", "*", "**", ".", "\"", "'", "\\", "\n", "    ", "\t", "#", "async", "await", "for", "in",
		"if", "else", "not", "lambda", "def", "class", "match", "case", "_", "f\"{", "0x", "1_", "...", "->", "@", "del", "yield", "type", "*a, b", "\f", "é",
	}
	var all []string
	for range count {
		at := pick(len(script))
		end := min(len(script), at+1+pick(12))
		switch pick(4) {
		case 0:
			all = append(all, script[:at]+script[end:])
		case 1:
			all = append(all, script[:end]+script[at:])
		case 2:
			all = append(all, script[:at]+marks[pick(len(marks))]+script[at:])
		default:
			all = append(all, script[:at]+marks[pick(len(marks))]+script[end:])
		}
	}
	return all
}

func TestParsesWhatPythonParses(t *testing.T) {
	paths, err := filepath.Glob("../awsscript/testdata/scripts/*/*.py")
	if err != nil || len(paths) == 0 {
		t.Fatalf("%d scripts, %v", len(paths), err)
	}
	more, _ := filepath.Glob("testdata/*.py")
	var scripts []string
	for n, path := range append(paths, more...) {
		code, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		const variants = 25
		scripts = append(append(scripts, string(code)), broken(string(code), uint64(n)*7919+1, variants)...)
	}
	python := startPython(t)
	if python == nil {
		t.Skip("there is no python3 to compare with")
	}
	compared := 0
	for _, script := range scripts {
		if python.compare(t, script) {
			compared++
		}
	}
	t.Logf("%d scripts compared with Python 3.%d", compared, python.minor)
}

func hasFString(script string) bool {
	for _, prefix := range []string{"f", "F", "rf", "fr", "Rf", "fR"} {
		if strings.Contains(script, prefix+`"`) || strings.Contains(script, prefix+"'") {
			return true
		}
	}
	return false
}

func TestPythonTakesNoMoreOfItsOwnLibrary(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: the standard library is long")
	}
	where, err := exec.CommandContext(t.Context(), "python3", "-I", "-S", "-c", "import os; print(os.path.dirname(os.__file__))").
		Output()
	if err != nil {
		t.Skip("there is no python3, whose library would be parsed")
	}
	paths, err := filepath.Glob(strings.TrimSpace(string(where)) + "/*.py")
	if err != nil || len(paths) < 50 {
		t.Skipf("python3 has no library in %s", where)
	}
	for _, path := range paths {
		code, err := os.ReadFile(path)
		if err != nil || len(code) > awscode.MaxBytes {
			continue
		}
		if r := awscode.Read(string(code)); r.Cause == awscode.CauseSyntax && !strings.Contains(r.Reason, "too deep") {
			t.Errorf("%s:%d: %s", filepath.Base(path), r.Line, r.Reason)
		}
	}
	fmt.Fprintf(os.Stderr, "%d files of Python's library parse\n", len(paths))
}
