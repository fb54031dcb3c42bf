package mcp

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
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

// WholeToolFilter is a ListFilter that wants to see tools whole as well.
type WholeToolFilter interface {
	// ShowWholeTool is asked about tools that ShowTool shows; tool is the entry as it came,
	// and is not to be kept.
	ShowWholeTool(name string, tool []byte) bool
}

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

// resultMembers are those that are looked at. Each stands for itself only when
// it is there once and in this case.
var resultMembers = []string{
	"tools", "prompts", "resources", "resourceTemplates", "tasks", "cacheScope", "task", "taskId", "ttlMs",
	"capabilities", "nextCursor", "isError",
}

// edit replaces bytes [from, to) of a message.
type edit struct {
	from, to int
	text     string
}

// listOf is the index of a result's member in lists, or -1.
func listOf(member string) int {
	for i := range lists {
		if lists[i].member == member {
			return i
		}
	}
	return -1
}

// listScanner walks one list and collects edits.
type listScanner struct {
	d      *jsontext.Decoder
	text   []byte
	filter ListFilter
	edits  []edit
}

// scanOptions: what lies deeper than entries may repeat names and hold text that
// is cut within a character; it is not looked at and stays as it came.
var scanOptions = []jsontext.Options{jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)}

// filterList cuts the entries that the caller may not see out of a list, the
// value of the member lists[which].
func filterList(which int, list []byte, filter ListFilter) ([]byte, error) {
	s := listScanner{text: list, filter: filter}
	err := withDecoder(list, func(d *jsontext.Decoder) error {
		s.d = d
		return s.list(which)
	}, scanOptions...)
	if err != nil {
		return nil, ErrUnreadable
	}
	return applyEdits(list, s.edits), nil
}

// issueTask tells the filter of the id in a result that creates a task.
func issueTask(value jsontext.Value, filter ListFilter) error {
	if value.Kind() != '"' {
		return nil // an id of another kind is nobody's: no request can name it
	}
	if id := unquoted(value); id != "" {
		filter.IssueTask(id)
	}
	return nil
}

// issueTaskObject reads {"taskId": ...}, the member task of such a result.
func issueTaskObject(value jsontext.Value, filter ListFilter) error {
	if value.Kind() != '{' {
		return nil
	}
	s := listScanner{text: value, filter: filter}
	err := withDecoder(value, func(d *jsontext.Decoder) error {
		s.d = d
		return s.object([]string{"taskId"}, func(name string) error {
			if name != "taskId" {
				return d.SkipValue()
			}
			id, err := d.ReadValue()
			if err != nil {
				return err
			}
			return issueTask(id, filter)
		})
	}, scanOptions...)
	if err != nil {
		return ErrUnreadable
	}
	return nil
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
			if n := len(s.edits); n > 0 && s.edits[n-1].to == previousEnd {
				s.edits[n-1].to = end // one edit for a row of entries
			} else {
				s.edits = append(s.edits, edit{from: previousEnd, to: end})
			}
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
	found, tool, begin := false, "", int(s.d.InputOffset())
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
		found, show, tool = true, lists[which].show(s.filter, id), id
		return nil
	})
	if err == nil && !found {
		return false, ErrUnreadable
	}
	if whole, ok := s.filter.(WholeToolFilter); ok && show && err == nil && lists[which].member == "tools" {
		show = whole.ShowWholeTool(tool, bytes.TrimLeft(s.text[begin:s.d.InputOffset()], ", \t\r\n"))
	}
	return show, err
}

// IsEmptyToolList reports whether an answer, JSON or the first events of a
// stream, is a list of tools without an entry and without a next page.
func IsEmptyToolList(answer []byte) bool {
	var said struct {
		Result struct {
			Tools      []jsontext.Value `json:"tools"`
			NextCursor *string          `json:"nextCursor"`
		} `json:"result"`
	}
	for line := range bytes.Lines(answer) {
		line = bytes.TrimPrefix(bytes.TrimSpace(line), []byte("data:"))
		if json.Unmarshal(line, &said) == nil && said.Result.Tools != nil {
			return len(said.Result.Tools) == 0 && said.Result.NextCursor == nil
		}
	}
	return json.Unmarshal(answer, &said) == nil && said.Result.Tools != nil && len(said.Result.Tools) == 0 &&
		said.Result.NextCursor == nil
}
