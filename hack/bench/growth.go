package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
	"time"
)

// growthCase is a thing of which a config, a list or a Pod can have many.
type growthCase struct {
	name      string
	few, many int
	body      []byte
	start     func(ctx context.Context, n int) (*sidecarProcess, *target, error)
	// unseen is set where each request is to be a new caller's.
	unseen bool
}

// newCallers are enough for all measurements of a side.
const newCallers = 6000

// growthPairs are measured of each case, in turn.
const growthPairs, growthTime = 5, 500 * time.Millisecond

// growth prints what a request costs with few and with many of a thing.
func (b *bed) growth(ctx context.Context) error {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight|tabwriter.Debug)
	_, _ = fmt.Fprintln(w, "cost of a request with\tfew\tmany\tmedian, few\tmany\tCPU, few\tmany\tCPU ratio\t")
	for _, c := range b.growthCases() {
		if err := c.measure(ctx, w); err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
	}
	return w.Flush()
}

func (c *growthCase) measure(ctx context.Context, w *tabwriter.Writer) error {
	var sides [2]*series
	for i, n := range []int{c.few, c.many} {
		process, t, err := c.start(ctx, n)
		if err != nil {
			return err
		}
		defer func() { _ = process.stop() }()
		t.pid, t.url, t.name, t.body = process.PID, process.URL+t.url, c.name, c.body
		if !c.unseen {
			err = t.sendEach(ctx)
		}
		if err != nil {
			return err
		}
		sides[i] = &series{target: t}
	}
	for range growthPairs {
		for _, side := range sides {
			s, err := side.measure(ctx, 1, growthTime)
			if err != nil {
				return err
			}
			side.alone = append(side.alone, s)
			if c.unseen && side.sent > len(side.tokens) {
				return fmt.Errorf("%d new callers are too few", len(side.tokens))
			}
		}
	}
	few, many := sides[0].alone, sides[1].alone
	_, _ = fmt.Fprintf(w, "%s\t%d\t%d\t%d µs\t%d µs\t%d µs\t%d µs\t%s\t\n", c.name, c.few, c.many,
		median(column(few, medianOf)).Microseconds(), median(column(many, medianOf)).Microseconds(),
		median(column(few, processorOf)).Microseconds(), median(column(many, processorOf)).Microseconds(),
		ratioOf(column(many, processorOf), column(few, processorOf)))
	return nil
}

// sendEach has each caller send once, so that what is kept of him is.
func (t *target) sendEach(ctx context.Context) error {
	for turn := range max(1, len(t.tokens)) {
		if err := t.send(ctx, turn); err != nil {
			return err
		}
	}
	return nil
}

func (b *bed) growthCases() []*growthCase {
	one := func(ctx context.Context, path, mappings string, policies ...string) (*sidecarProcess, *target, error) {
		p, err := b.start(ctx, path, mappings, policies...)
		return p, &target{url: path, tokens: []string{b.caller(0)}}, err
	}
	return []*growthCase{
		{name: "policies", few: 10, many: 1000, body: call,
			start: func(ctx context.Context, n int) (*sidecarProcess, *target, error) {
				return one(ctx, "/mcp", twoMappings, manyPolicies(n)...)
			}},
		{name: "tools in a list", few: 10, many: 10_000, body: listOfTools,
			start: func(ctx context.Context, n int) (*sidecarProcess, *target, error) {
				return one(ctx, fmt.Sprint("/", n), twoMappings, policies+`
permit (principal in MCP::Group::"s3-readers", action in MCP::Action::"CallTool", resource);`)
			}},
		{name: "tools in a list, told apart", few: 10, many: 10_000, body: listOfTools,
			start: func(ctx context.Context, n int) (*sidecarProcess, *target, error) {
				return one(ctx, fmt.Sprint("/", n), twoMappings, policies+`
permit (principal, action in MCP::Action::"CallTool", resource)
when { principal.hasTag("tools") && principal.getTag("tools").contains(resource.name) };`)
			}},
		{name: "role mappings, each caller new", few: 2, many: 2000, body: call, unseen: true,
			start: func(ctx context.Context, n int) (*sidecarProcess, *target, error) {
				p, err := b.start(ctx, "/mcp", manyMappings(n), policies)
				return p, &target{url: "/mcp", tokens: b.callers(newCallers)}, err
			}},
		{name: "callers", few: 1, many: 10_000, body: call,
			start: func(ctx context.Context, n int) (*sidecarProcess, *target, error) {
				p, err := b.start(ctx, "/mcp", twoMappings, policies)
				return p, &target{url: "/mcp", tokens: b.callers(n)}, err
			}},
	}
}

func (b *bed) callers(n int) []string {
	for i := len(b.tokens); i < n; i++ {
		b.tokens = append(b.tokens, b.caller(i))
	}
	return b.tokens[:n]
}

// manyPolicies are about fifty tools, beside those that the call needs; no key of an
// auth-config may hold all of them.
func manyPolicies(n int) []string {
	keys := []string{policies}
	for i := range n - strings.Count(policies, "@id") {
		if i%250 == 0 {
			keys = append(keys, "")
		}
		keys[len(keys)-1] += fmt.Sprintf(`
permit (principal in MCP::Group::"team-%d", action == MCP::Action::"tool-%d", resource)
when { context.input has text && context.input.text like "team-%d/*" };`, i, i%50, i)
	}
	return keys
}

func manyMappings(n int) string {
	var text strings.Builder
	text.WriteString(twoMappings)
	for i := range n - 2 {
		_, _ = fmt.Fprintf(&text,
			"    - {claim: team-%d, roleArn: \"arn:aws:iam::123456789012:role/Team%d\", priority: %d}\n", i, i, i+20)
	}
	return text.String()
}
