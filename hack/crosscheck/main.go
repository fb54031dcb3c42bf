// Command crosscheck reads the programs as the compiler would for each platform of a
// release, types and all, which takes seconds where building takes minutes.
package main

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/tools/go/packages"
)

// platforms are those of hack/release, by what is released for them.
var platforms = map[string][]string{
	"linux/amd64":   {"./cmd/..."},
	"linux/arm64":   {"./cmd/..."},
	"darwin/arm64":  {"./cmd/kubectl-countersign"},
	"windows/amd64": {"./cmd/kubectl-countersign"},
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: crosscheck DIR")
		os.Exit(2)
	}
	faults := 0
	for platform, programs := range platforms {
		n, err := check(os.Args[1], platform, programs)
		if err != nil {
			fmt.Fprintln(os.Stderr, "crosscheck:", err)
			os.Exit(1)
		}
		faults += n
	}
	if faults > 0 {
		os.Exit(1)
	}
}

// check prints what does not compile, and counts it.
func check(dir, platform string, programs []string) (int, error) {
	system, processor, _ := strings.Cut(platform, "/")
	loaded, err := packages.Load(&packages.Config{
		Mode: packages.NeedName | packages.NeedCompiledGoFiles | packages.NeedImports | packages.NeedDeps |
			packages.NeedTypes | packages.NeedSyntax | packages.NeedTypesInfo,
		Dir: dir, Env: append(os.Environ(), "GOOS="+system, "GOARCH="+processor, "CGO_ENABLED=0"),
	}, programs...)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", platform, err)
	}
	n := packages.PrintErrors(loaded)
	if n > 0 {
		fmt.Fprintf(os.Stderr, "%s: %d faults\n", platform, n)
	}
	return n, nil
}
