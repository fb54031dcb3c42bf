package policy

import (
	"sync"

	"github.com/cedar-policy/cedar-go/types"
)

// recordDraft is what a record is made of, which copies it.
type recordDraft types.RecordMap

// maxKeptRecord is the number of members up to which a draft serves again: a map never shrinks, and its copy is
// as large as it. Eight are what Go's smallest map has room for.
const maxKeptRecord = 8

var recordDrafts = sync.Pool{New: func() any { return recordDraft{} }}

func newRecordDraft() recordDraft {
	draft, _ := recordDrafts.Get().(recordDraft)
	return draft
}

// finish makes the record; the draft must not be used any more.
func (d recordDraft) finish() types.Record {
	record := types.NewRecord(types.RecordMap(d))
	if len(d) <= maxKeptRecord {
		clear(d)
		recordDrafts.Put(d)
	}
	return record
}
