package mcp

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// ListFilter says which list entries a caller may see.
type ListFilter interface {
	ShowTool(name string) bool
	ShowPrompt(name string) bool
	ShowResource(uri string) bool
	ShowTemplate(uriTemplate string) bool
	ShowTask(taskID string) bool
	// IssueTask is told of every task that a result created.
	IssueTask(taskID string)
}

// ErrUnreadable says that a message of the upstream cannot be parsed or could
// be read in two ways, so that nobody can say what it would show.
var ErrUnreadable = errors.New("the upstream's message cannot be read")

// lists are the members of a result that are filtered, with the member that
// identifies an entry.
var lists = []struct {
	member, key string
	show        func(ListFilter, string) bool
}{
	{"tools", "name", ListFilter.ShowTool},
	{"prompts", "name", ListFilter.ShowPrompt},
	{"resources", "uri", ListFilter.ShowResource},
	{"resourceTemplates", "uriTemplate", ListFilter.ShowTemplate},
	{"tasks", "taskId", ListFilter.ShowTask},
}

var resultMembers = []string{"tools", "prompts", "resources", "resourceTemplates", "tasks", "cacheScope", "task", "taskId", "ttlMs"}

// edit replaces bytes [from, to) of a message.
type edit struct {
	from, to int
	text     string
}

// listScanner walks one message and collects edits.
type listScanner struct {
	d       *jsontext.Decoder
	text    []byte
	filter  ListFilter
	private bool
	edits   []edit
}

// scanOptions: what lies deeper than lists may repeat names and hold text that is
// cut within a character, it is not looked at and stays as it came. The levels that are looked at are checked by hand.
var scanOptions = []jsontext.Options{jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)}

// FilterMessage cuts out of a server's message the list entries that the caller
// may not see. With private set, a result that has a list and may be cached is
// marked as private. Everything else stays byte for byte; without a list the
// message itself is returned. The error is ErrUnreadable.
func FilterMessage(message []byte, filter ListFilter, private bool) ([]byte, error) {
	s := listScanner{text: message, filter: filter, private: private}
	err := withDecoder(message, func(d *jsontext.Decoder) error {
		s.d = d
		if err := s.messages(); err != nil {
			return err
		}
		if _, err := d.ReadToken(); !errors.Is(err, io.EOF) {
			return ErrUnreadable
		}
		return nil
	}, scanOptions...)
	if err != nil {
		return nil, ErrUnreadable
	}
	return applyEdits(message, s.edits), nil
}

func applyEdits(text []byte, edits []edit) []byte {
	if len(edits) == 0 {
		return text
	}
	out := make([]byte, 0, len(text)+32)
	at := 0
	for _, e := range edits {
		out = append(out, text[at:e.from]...)
		out = append(out, e.text...)
		at = e.to
	}
	return append(out, text[at:]...)
}

// messages reads one message, or the batch that 2025-03-26 allows.
func (s *listScanner) messages() error {
	if s.d.PeekKind() != '[' {
		return s.message()
	}
	if _, err := s.d.ReadToken(); err != nil {
		return fmt.Errorf("read batch: %w", err)
	}
	for s.d.PeekKind() != ']' {
		if err := s.message(); err != nil {
			return err
		}
	}
	_, err := s.d.ReadToken()
	return err
}

func (s *listScanner) message() error {
	return s.object(envelopeMembers, func(name string) error {
		if name == "result" && s.d.PeekKind() == '{' {
			return s.result()
		}
		return s.d.SkipValue()
	})
}

// object reads an object whose known members are neither repeated nor written
// in another case.
func (s *listScanner) object(known []string, member func(name string) error) error {
	var seen uint
	return readObject(s.d, "a message", known, func(name string) error {
		if strings.ContainsRune(name, utf8.RuneError) {
			return ErrUnreadable
		}
		for i, k := range known {
			if name == k {
				if seen&(1<<i) != 0 {
					return ErrUnreadable
				}
				seen |= 1 << i
			}
		}
		return member(name)
	})
}

func (s *listScanner) result() error {
	start := int(s.d.InputOffset())
	filtered, scope, hasTTL := false, edit{}, false
	err := s.object(resultMembers, func(name string) error {
		switch name {
		case "cacheScope":
			// The offset lies behind the name; the value follows ':' and space.
			value, err := s.d.ReadValue()
			to := int(s.d.InputOffset())
			scope = edit{from: to - len(value), to: to, text: `"private"`}
			return err
		case "ttlMs":
			hasTTL = true
		case "task":
			return s.task()
		case "taskId":
			return s.taskID()
		}
		for i := range lists {
			if lists[i].member == name {
				filtered = true
				return s.list(i)
			}
		}
		return s.d.SkipValue()
	})
	if err != nil || !filtered || !s.private {
		return err
	}
	switch {
	case scope.to > 0:
		s.insert(scope)
	case hasTTL:
		// A result that may be kept but does not say by whom.
		brace := start + bytes.IndexByte(s.text[start:], '{') + 1
		s.insert(edit{from: brace, to: brace, text: `"cacheScope":"private",`})
	}
	return nil
}

// insert keeps edits in the order of the text.
func (s *listScanner) insert(e edit) {
	i := len(s.edits)
	for i > 0 && s.edits[i-1].from > e.from {
		i--
	}
	s.edits = append(s.edits[:i], append([]edit{e}, s.edits[i:]...)...)
}

// task reads {"task": {"taskId": ...}}, the answer that creates a task.
func (s *listScanner) task() error {
	if s.d.PeekKind() != '{' {
		return s.d.SkipValue()
	}
	return s.object([]string{"taskId"}, func(name string) error {
		if name == "taskId" {
			return s.taskID()
		}
		return s.d.SkipValue()
	})
}

func (s *listScanner) taskID() error {
	id, err := readString(s.d, "taskId")
	if err == nil {
		s.filter.IssueTask(id)
	}
	return err
}

// list reads one array of entries and cuts out those that are not shown,
// together with one comma each.
func (s *listScanner) list(which int) error {
	if s.d.PeekKind() == 'n' {
		return s.d.SkipValue()
	}
	token, err := s.d.ReadToken()
	if err != nil {
		return fmt.Errorf("read list: %w", err)
	}
	if token.Kind() != '[' {
		return ErrUnreadable
	}
	// bounds[i] is where entry i ends; the separator after it belongs to the
	// next entry, so that cutting [end of the one before, own end) works for
	// all but the first that stays.
	previousEnd, kept := int(s.d.InputOffset()), 0
	var leading *edit
	for s.d.PeekKind() != ']' {
		show, err := s.entry(which)
		if err != nil {
			return err
		}
		end := int(s.d.InputOffset())
		switch {
		case !show && kept == 0:
			// Nothing stands before it: cut it, and later the comma behind it.
			if leading == nil {
				leading = &edit{from: previousEnd}
			}
			leading.to = end
		case !show:
			s.edits = append(s.edits, edit{from: previousEnd, to: end})
		default:
			if leading != nil {
				comma := bytes.IndexByte(s.text[leading.to:], ',')
				leading.to += comma + 1
				s.edits = append(s.edits, *leading)
				leading = nil
			}
			kept++
		}
		previousEnd = end
	}
	if leading != nil {
		s.edits = append(s.edits, *leading)
	}
	_, err = s.d.ReadToken()
	return err
}

func (s *listScanner) entry(which int) (show bool, err error) {
	found := false
	err = s.object([]string{lists[which].key}, func(name string) error {
		if name != lists[which].key {
			return s.d.SkipValue()
		}
		id, err := readString(s.d, name)
		if err != nil {
			return err
		}
		if strings.ContainsRune(id, utf8.RuneError) {
			return ErrUnreadable
		}
		found, show = true, lists[which].show(s.filter, id)
		return nil
	})
	if err == nil && !found {
		return false, ErrUnreadable
	}
	return show, err
}
