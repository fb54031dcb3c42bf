package awsscript_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/countersign-io/countersign/e2e/standin"
	"github.com/countersign-io/countersign/pkg/awsscript"
	"github.com/countersign-io/countersign/pkg/credentials"
)

// kinds of the scripts in testdata.
const (
	kindReads  = "reads"
	kindWrites = "writes"
	kindHiding = "hiding"
)

type corpusScript struct{ kind, name, code string }

func corpus(t *testing.T) []corpusScript {
	t.Helper()
	paths, err := filepath.Glob("testdata/scripts/*/*.py")
	if err != nil || len(paths) < 200 {
		t.Fatalf("%d scripts, %v", len(paths), err)
	}
	var all []corpusScript
	for _, path := range paths {
		code, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, corpusScript{filepath.Base(filepath.Dir(path)), strings.TrimSuffix(filepath.Base(path), ".py"), string(code)})
	}
	return all
}

func TestMostScriptsThatReadCanBeRead(t *testing.T) {
	reads, complete := 0, 0
	for _, s := range corpus(t) {
		e := awsscript.Of(s.code)
		switch s.kind {
		case kindReads:
			reads++
			if !e.Complete {
				t.Logf("%s: line %d: %s", s.name, e.Line, e.Reason)
				continue
			}
			complete++
			if !e.ReadOnly {
				t.Errorf("%s only reads, and its levels are %v", s.name, e.Levels)
			}
		case kindWrites:
			if e.ReadOnly && !e.Secrets && s.name != "object_version" {
				t.Errorf("%s writes, or gives a secret, and is read-only", s.name)
			}
		}
	}
	const percent = 100
	t.Logf("%d of %d scripts that read are complete, %d %%", complete, reads, complete*percent/reads)
	if complete*percent < reads*90 {
		t.Error("less than 90 %")
	}
}

// lies are scripts that the reader rightly takes for complete and that do something
// else: what lies beside them in the sandbox is not theirs.
var lies = map[string]bool{"planted_helper": true}

// execute runs a script, and gives the actions that IAM let through and that are not
// among those decided on.
func execute(t *testing.T, code, policy string, e *awsscript.Effects) (outside []string, account *standin.Account) {
	t.Helper()
	account = standin.NewAccount()
	session := &standin.RoleSession{RoleARN: "arn:aws:iam::123456789012:role/Any", Name: "alice", Policy: policy}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := standin.RunScript(ctx, account, session, code, map[string]string{"statistics": standin.PlantedStatistics}); err != nil {
		t.Fatal(err)
	}
	for _, action := range account.Executed() {
		if !slices.ContainsFunc(e.Actions, func(decided string) bool { return strings.EqualFold(decided, action) }) {
			outside = append(outside, action)
		}
	}
	return outside, account
}

// TestNothingIsExecutedThatWasNotDecided runs every script twice: with the session
// of what was read of it, also where it could not be read to its end, and with the
// role's, which may do everything.
func TestNothingIsExecutedThatWasNotDecided(t *testing.T) {
	if !standin.HasPython() {
		t.Skip("there is no python3, which these scripts need")
	}
	var hid, ran atomic.Int64
	t.Run("scripts", func(t *testing.T) {
		for _, s := range corpus(t) {
			t.Run(s.kind+"/"+s.name, func(t *testing.T) {
				t.Parallel()
				e := awsscript.Of(s.code)
				known := slices.DeleteFunc(slices.Clone(e.Actions), func(action string) bool { return action == awsscript.Anything })
				session, err := credentials.Narrow(&credentials.RoleSession{}, credentials.Narrowing{Actions: known, KMS: e.UsesKMS()})
				if err != nil {
					t.Fatal(err)
				}
				outside, _ := execute(t, s.code, session.Policy, e)
				if len(outside) > 0 {
					t.Errorf("with its own session it did %v, decided was %v", outside, known)
				}
				outside, account := execute(t, s.code, "", e)
				if e.Complete && len(outside) > 0 != lies[s.name] {
					t.Errorf("with the role's session it did %v, decided was %v", outside, e.Actions)
				}
				if len(account.Executed()) > 0 {
					ran.Add(1)
				}
				if s.kind == kindHiding && slices.Contains(account.Executed(), "ec2:StopInstances") {
					hid.Add(1)
				}
			})
		}
	})
	t.Logf("%d scripts called AWS; %d of those that hide stopped an instance where nothing held them", ran.Load(), hid.Load())
	if hid.Load() < 50 {
		t.Error("too few scripts that hide do what they hide")
	}
}

// TestCallsSeenAreCallsExecuted makes scripts that hide nothing and compares what is
// seen in them with what Python does.
func TestCallsSeenAreCallsExecuted(t *testing.T) {
	if !standin.HasPython() {
		t.Skip("there is no python3, which runs the scripts")
	}
	const scripts = 60
	for seed := range scripts {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			code := (&scriptWriter{state: uint64(seed)*2654435761 + 1}).write()
			e := awsscript.Of(code)
			if !e.Complete {
				t.Fatalf("line %d: %s\n%s", e.Line, e.Reason, code)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			result, err := standin.RunScript(ctx, standin.NewAccount(), &standin.RoleSession{RoleARN: "r"}, code, nil)
			if err != nil || result["status"] != "success" {
				t.Fatalf("%v, %v\n%s", result, err, code)
			}
			made := map[string]bool{}
			calls, _ := result["api_calls"].([]any)
			for _, c := range calls {
				entry, _ := c.(map[string]any)
				made[fmt.Sprintf("%v:%v", entry["service"], entry["operation"])] = true
			}
			var executed []string
			for c := range made {
				executed = append(executed, c)
			}
			if slices.Sort(executed); !slices.Equal(executed, e.Calls) {
				t.Errorf("seen %v, executed %v\n%s", e.Calls, executed, code)
			}
		})
	}
}
