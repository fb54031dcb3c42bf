package main

import (
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/countersign-io/countersign/pkg/awsscript"
)

// scriptFile is a script of 2 KiB as agents write them.
const scriptFile = "pkg/awscode/testdata/report.py"

// measureScript prints how long a script takes to be read, and what it calls.
func measureScript() error {
	code, err := os.ReadFile(scriptFile)
	if err != nil {
		return fmt.Errorf("read the script: %w", err)
	}
	const runs = 5_000
	took := make([]time.Duration, 0, runs)
	for range runs {
		begun := time.Now()
		if e := awsscript.Of(string(code)); !e.Complete {
			return fmt.Errorf("%s cannot be read: %s", scriptFile, e.Reason)
		}
		took = append(took, time.Since(begun))
	}
	slices.Sort(took)
	fmt.Printf("\nReading a script of %d bytes: median %d µs, 90th percentile %d µs, of %d runs\n",
		len(code), took[runs/2].Microseconds(), took[runs*9/10].Microseconds(), runs)
	return nil
}
