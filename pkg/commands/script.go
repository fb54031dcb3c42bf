package commands

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/countersign-io/countersign/pkg/authconfig"
	"github.com/countersign-io/countersign/pkg/awscode"
	"github.com/countersign-io/countersign/pkg/awsscript"
	"github.com/countersign-io/countersign/pkg/credentials"
)

// FormatText is for people.
const FormatText Format = "text"

// Script writes what the script in a file, or on stdin for "-", can do to AWS, and
// the session policy with which it would be sent where no mapping adds one.
func Script(path string, format Format, stdin io.Reader, stdout io.Writer) error {
	code, err := readScript(path, stdin)
	if err != nil {
		return err
	}
	effects := awsscript.Of(code)
	report := awsscript.NewReport(effects)
	if err := addSession(report, effects); err != nil {
		return err
	}
	if format == FormatJSON {
		if err := json.MarshalWrite(stdout, report, jsontext.WithIndent("  ")); err != nil {
			return fmt.Errorf("write the report: %w", err)
		}
		_, err := io.WriteString(stdout, "\n")
		return err
	}
	report.Lines(func(name, text string) {
		if err == nil {
			_, err = fmt.Fprintf(stdout, "%-9s %s\n", name, text)
		}
	})
	return err
}

func readScript(path string, stdin io.Reader) (string, error) {
	source := stdin
	if path != "-" {
		file, err := os.Open(path) //nolint:gosec // the user names the file
		if err != nil {
			return "", err
		}
		defer func() { _ = file.Close() }()
		source = file
	}
	// One byte more than a script may have tells one that is too long.
	code, err := io.ReadAll(io.LimitReader(source, awscode.MaxBytes+1))
	if err != nil {
		return "", fmt.Errorf("read %s: %w", path, err)
	}
	return string(code), nil
}

// addSession adds what STS would be asked for by an auth-config that has nothing of
// its own to add.
func addSession(report *awsscript.Report, effects *awsscript.Effects) error {
	if !effects.Complete {
		report.Session = "the session of the role, if policies allow it; with scriptSessions: exact it is denied"
		return nil
	}
	policy, err := credentials.SessionPolicy(authconfig.GuardrailMCPOnly, "", nil)
	if err != nil {
		return err
	}
	session, err := credentials.Narrow(&credentials.RoleSession{Policy: policy}, credentials.Narrowing{
		Actions: effects.Actions, KMS: effects.UsesKMS(),
	})
	var tooLarge *credentials.TooLargeError
	switch {
	case errors.As(err, &tooLarge):
		report.Session = "nothing: " + tooLarge.Error()
	case err != nil:
		return err
	default:
		report.Session, report.SessionPolicy = "a session of its own", jsontext.Value(session.Policy)
	}
	return nil
}
