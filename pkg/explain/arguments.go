package explain

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/countersign-io/countersign/pkg/authconfig"
	"github.com/countersign-io/countersign/pkg/compile"
)

// maxArguments bounds a file of arguments, in bytes.
const maxArguments = 4 << 20

// Arguments gives the arguments of a tool as a person writes them: a JSON object, or
// @ and a file with one. For a tool that takes a script the file may be that script.
func Arguments(config *compile.Compiled, upstream, tool, written string) (jsontext.Value, error) {
	path, isFile := strings.CutPrefix(written, "@")
	if !isFile {
		return jsontext.Value(written), nil
	}
	file, err := os.Open(path) //nolint:gosec // the user names the file
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	text, err := io.ReadAll(io.LimitReader(file, maxArguments+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxArguments {
		return nil, fmt.Errorf("%s is longer than %d bytes", path, maxArguments)
	}
	object := jsontext.Value(text)
	switch looksLikeObject := object.Kind() == '{'; {
	case looksLikeObject && object.IsValid():
		return object, nil
	case looksLikeObject:
		// Not a script: it would be read as one that makes a dict.
		return nil, fmt.Errorf("%s is not valid JSON", path)
	}
	arguments, err := ScriptArguments(config, upstream, tool, string(text))
	if err != nil {
		return nil, fmt.Errorf("%s is not a JSON object, and %w", path, err)
	}
	return arguments, nil
}

// ScriptArguments are the arguments of a tool that takes a script, with this one.
func ScriptArguments(config *compile.Compiled, upstream, tool, script string) (jsontext.Value, error) {
	name := scriptArgument(config, upstream, tool)
	if name == "" {
		return nil, fmt.Errorf("the tool %s takes no script", tool)
	}
	arguments, err := json.Marshal(map[string]string{name: script})
	if err != nil {
		return nil, fmt.Errorf("the script is no text: %w", err)
	}
	return arguments, nil
}

// scriptArgument is the argument of a tool that takes a script, or empty.
func scriptArgument(config *compile.Compiled, upstream, tool string) string {
	upstreams := config.Upstreams
	for i := range upstreams {
		if upstreams[i].Name == upstream || upstream == "" && i == 0 {
			return argumentOf(&upstreams[i], tool)
		}
	}
	return ""
}

func argumentOf(u *authconfig.Upstream, tool string) string {
	for _, s := range u.Scripts {
		if s.Tool == tool {
			return s.Argument
		}
	}
	return ""
}
