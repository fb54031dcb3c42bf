package mcp

import (
	"bytes"

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

// cut takes bytes [from, to) out of a message.
type cut struct{ from, to int }

// listOf is the index of a result's member in lists, or -1.
func listOf(member string) int {
	for i := range lists {
		if lists[i].member == member {
			return i
		}
	}
	return -1
}

// listCutter walks one list and collects what to cut.
type listCutter struct {
	walker
	filter ListFilter
	cuts   []cut
}

// filterList cuts the entries that the caller may not see out of a list, the value of
// the member lists[which], whose grammar the scanner has checked. What lies deeper than
// entries may repeat names and hold text that is cut within a character; it is not
// looked at and stays as it came.
func filterList(which int, list []byte, filter ListFilter) ([]byte, error) {
	c := listCutter{walker: walker{text: list}, filter: filter}
	if err := c.list(which); err != nil {
		return nil, err
	}
	return withoutCuts(list, c.cuts), nil
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
	w := walker{text: value}
	return w.object("taskId", func() error {
		w.next()
		begin := w.at
		if err := w.skipValue(); err != nil {
			return err
		}
		return issueTask(value[begin:w.at], filter)
	})
}

func withoutCuts(text []byte, cuts []cut) []byte {
	if len(cuts) == 0 {
		return text
	}
	out := make([]byte, 0, len(text)+32)
	at := 0
	for _, e := range cuts {
		out = append(out, text[at:e.from]...)
		at = e.to
	}
	return append(out, text[at:]...)
}

// list reads one array of entries and cuts out those that are not shown,
// together with one comma each.
func (c *listCutter) list(which int) error {
	if c.next() == 'n' {
		return c.skipValue()
	}
	if err := c.take('['); err != nil {
		return err
	}
	// The separator in front of an entry belongs to it, so that cutting [end of the one
	// before, own end) works for all but the first that stays.
	previousEnd, kept := c.at, 0
	var leading *cut
	for first := true; ; first = false {
		more, err := c.between(']', first)
		if err != nil {
			return err
		}
		if !more {
			break
		}
		show, err := c.entry(which)
		if err != nil {
			return err
		}
		end := c.at
		switch {
		case !show && kept == 0:
			// Nothing stands before it: cut it, and later the comma behind it.
			if leading == nil {
				leading = &cut{from: previousEnd}
			}
			leading.to = end
		case !show:
			if n := len(c.cuts); n > 0 && c.cuts[n-1].to == previousEnd {
				c.cuts[n-1].to = end // one for a row of entries
			} else {
				c.cuts = append(c.cuts, cut{from: previousEnd, to: end})
			}
		default:
			if leading != nil {
				comma := bytes.IndexByte(c.text[leading.to:], ',')
				leading.to += comma + 1
				c.cuts = append(c.cuts, *leading)
				leading = nil
			}
			kept++
		}
		previousEnd = end
	}
	if leading != nil {
		c.cuts = append(c.cuts, *leading)
	}
	return nil
}

func (c *listCutter) entry(which int) (show bool, err error) {
	c.next()
	found, name, begin := false, "", c.at
	err = c.object(lists[which].key, func() error {
		quoted, err := c.skipString()
		if err != nil {
			return err
		}
		if name, err = decodeString(quoted[1 : len(quoted)-1]); err != nil {
			return err
		}
		found, show = true, lists[which].show(c.filter, name)
		return nil
	})
	if err == nil && !found {
		return false, ErrUnreadable
	}
	if whole, ok := c.filter.(WholeToolFilter); ok && show && err == nil && lists[which].member == "tools" {
		show = whole.ShowWholeTool(name, c.text[begin:c.at])
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
