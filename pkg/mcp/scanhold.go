package mcp

import (
	"bytes"

	"github.com/go-json-experiment/json/jsontext"
)

// passesUncut reports whether the held list could have been passed unfiltered.
func (s *scanner) passesUncut() bool {
	return s.ShowsAll && s.member != "tasks" && listOf(s.member) >= 0
}

// letGo passes on what is held of a list, and all that follows.
func (s *scanner) letGo(dst, b []byte) []byte {
	dst = append(append(dst, s.held...), b...)
	s.holding, s.held = false, nil
	s.Budget.give(s.reserved)
	s.reserved = 0
	return dst
}

func (s *scanner) holdEnd(dst []byte) ([]byte, error) {
	s.holding = false
	held := s.held
	s.held = nil
	defer func() {
		s.Budget.give(s.reserved)
		s.reserved = 0
	}()
	if s.member == "cacheScope" {
		return append(dst, `"private"`...), nil
	}
	filtered, err := filterList(listOf(s.member), held, s.Filter)
	if err != nil {
		return dst, err
	}
	return append(dst, filtered...), nil
}

func (s *scanner) captureEnd() error {
	s.captured.active = false
	text := jsontext.Value(s.captured.text)
	if s.captured.over {
		if s.member == "content" || s.member == "structuredContent" {
			s.ToolResult(nil)
		}
		return nil
	}
	switch s.member {
	case "content", "structuredContent":
		s.ToolResult(bytes.Clone(text))
	case "method":
		s.method = unquoted(text)
	case "params":
		s.params = bytes.Clone(text)
	case "capabilities":
		if s.Notes != nil {
			s.Notes.Capabilities(bytes.Clone(text))
		}
	case "taskId":
		return issueTask(text, s.Filter)
	case "task":
		return issueTaskObject(text, s.Filter)
	}
	return nil
}

func unquoted(text jsontext.Value) string {
	decoded, err := jsontext.AppendUnquote(nil, text)
	if err != nil {
		return ""
	}
	return string(decoded)
}
