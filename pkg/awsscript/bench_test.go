package awsscript_test

import (
	"os"
	"testing"

	"github.com/countersign-io/countersign/pkg/awsscript"
)

// BenchmarkOf reads a script of 2 KiB and looks its calls up.
func BenchmarkOf(b *testing.B) {
	code, err := os.ReadFile("../awscode/testdata/report.py")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		awsscript.Of(string(code))
	}
}
