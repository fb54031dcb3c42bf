package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/countersign-io/countersign/pkg/awscode"
	"github.com/countersign-io/countersign/pkg/awsscript"
)

// scriptFile is a script of 2 KiB as agents write them.
const scriptFile = "pkg/awscode/testdata/report.py"

// measureScript prints how long a script takes to be read, and what it calls.
func measureScript(context.Context) error {
	code, err := os.ReadFile(scriptFile)
	if err != nil {
		return fmt.Errorf("read the script: %w", err)
	}
	script := string(code)
	if e := awsscript.Of(script); !e.Complete {
		return fmt.Errorf("%s cannot be read: %s", scriptFile, e.Reason)
	}
	const runs = 5_000
	median := func(read func()) int64 {
		took := make([]time.Duration, 0, runs)
		for range runs {
			begun := time.Now()
			read()
			took = append(took, time.Since(begun))
		}
		slices.Sort(took)
		return took[runs/2].Microseconds()
	}
	reading := median(func() { awscode.Read(script) })
	fmt.Printf("\na script of %d bytes                median %d µs to analyse, %d µs with its IAM actions"+
		"   (reach: at most 150 to analyse)\n", len(code), reading, median(func() { awsscript.Of(script) }))
	return nil
}
