package awsscript_test

import ("testing";"os";"path/filepath";"github.com/countersign-io/countersign/pkg/awsscript")

func TestTmp(t *testing.T) {
	paths, _ := filepath.Glob("testdata/scripts/*/*.py")
	bad:=map[string]int{}; all:=map[string]int{}
	for _, p := range paths {
		code, _ := os.ReadFile(p)
		e := awsscript.Of(string(code))
		k:=filepath.Base(filepath.Dir(p)); all[k]++
		if !e.Complete || k=="reads"&&!e.ReadOnly { bad[k]++; t.Logf("%s: %v line %d %s %v", p, e.Complete, e.Line, e.Reason, e.Levels) } else if k=="hiding" { t.Logf("COMPLETE %s %v", p, e.Calls) }
	}
	t.Log(all, bad)
}
