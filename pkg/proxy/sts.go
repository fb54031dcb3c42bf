package proxy

import (
	"context"
	"crypto/rand"
	"encoding/hex"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/countersign-io/countersign/pkg/credentials"
)

// Exchange implements credentials.Exchanger.
func (c currentSTS) Exchange(ctx context.Context, token string, session *credentials.RoleSession) (aws.Credentials, error) {
	return c.server.current.Load().sts.Exchange(ctx, token, session)
}

// newIDPrefix tells the request ids of one process from those of another.
func newIDPrefix() string {
	var random [6]byte
	_, _ = rand.Read(random[:]) // never fails
	return hex.EncodeToString(random[:]) + "-"
}
