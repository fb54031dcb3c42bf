package explain

import (
	"io"
	"os"
	"strings"

	"github.com/countersign-io/countersign/pkg/identity"
)

// ReadToken reads a caller's token from a file, - for standard input. One that is too long is
// cut, and refused for that later.
func ReadToken(stdin io.Reader, file string) (string, error) {
	source := stdin
	if file != "-" {
		f, err := os.Open(file) //nolint:gosec // the user names the file
		if err != nil {
			return "", err
		}
		defer func() { _ = f.Close() }()
		source = f
	}
	text, err := io.ReadAll(io.LimitReader(source, identity.MaxTokenBytes+2))
	if err != nil {
		return "", err
	}
	return strings.TrimSpace(string(text)), nil
}
