package compile

import (
	"github.com/countersign-io/countersign/pkg/authorize"
	"github.com/countersign-io/countersign/pkg/credentials"
)

// metaRegion is the member of _meta that says in which Region scripts work.
// https://docs.aws.amazon.com/agent-toolkit/latest/userguide/getting-started-aws-mcp-server.html
const metaRegion = "AWS_REGION"

// ScriptSession is what STS is asked for in place of session when a decision wants
// the script that it is about to be held to what it was read to do. The error is a
// *credentials.TooLargeError where no session policy has room for that.
func (c *Compiled) ScriptSession(
	upstream int,
	session *credentials.RoleSession,
	d *authorize.Decision,
) (*credentials.RoleSession, error) {
	narrowing := credentials.Narrowing{Actions: d.Script.Actions, KMS: d.Script.UsesKMS()}
	if d.HoldRegions {
		byDefault := c.Upstreams[upstream].Meta[metaRegion]
		if byDefault == "" {
			byDefault = c.Upstreams[upstream].Region
		}
		// Where a Region is not known, a policy has allowed all.
		narrowing.Regions, _ = d.Script.RequestedRegions(byDefault)
	}
	return credentials.Narrow(session, narrowing)
}
