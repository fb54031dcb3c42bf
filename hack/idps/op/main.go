// Command op serves the OP of zitadel/oidc over plain HTTP, behind whatever gives it its
// name and its certificate.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"time"

	"github.com/countersign-io/countersign/hack/idps/zitadel"
)

func main() {
	path := flag.String("config", "/config/config.json", "a file with a zitadel.Config as JSON")
	address := flag.String("listen", ":8080", "where to serve")
	flag.Parse()
	if err := run(*path, *address); err != nil {
		fmt.Fprintln(os.Stderr, "op:", err)
		os.Exit(1)
	}
}

func run(path, address string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var config zitadel.Config
	if err := json.Unmarshal(text, &config); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	provider, err := zitadel.New(config)
	if err != nil {
		return err
	}
	slog.Info("serving", "issuer", config.Issuer)
	server := &http.Server{Addr: address, Handler: provider, ReadHeaderTimeout: 10 * time.Second}
	return server.ListenAndServe()
}
