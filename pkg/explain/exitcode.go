package explain

// The exit codes of programs that explain.
const (
	ExitCannotTell = 2
	ExitDenied     = 3
	ExitRefused    = 4
)

// ExitCode is that of an answer; 0 where the call would be served.
func ExitCode(answer *Answer) int {
	switch {
	case answer.IsUnknown():
		return ExitCannotTell
	case answer.IsRefused():
		return ExitRefused
	case answer.Decision != nil && !answer.Decision.Allowed && answer.Decision.Enforced:
		return ExitDenied
	}
	return 0
}
