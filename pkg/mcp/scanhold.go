package mcp

import (
	"bytes"

	"github.com/go-json-experiment/json"
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
		if s.member == "error" {
			s.Failed(CodeInternal)
		}
		return nil
	}
	switch s.member {
	case "isError":
		if text.Kind() == 't' {
			s.Failed(0)
		}
	case "error":
		s.Failed(errorCode(text))
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

// errorCode is that of a JSON-RPC error; one that cannot be read is an internal error.
func errorCode(text jsontext.Value) int {
	var said struct {
		Code int `json:"code"`
	}
	if json.Unmarshal(text, &said) != nil || said.Code == 0 {
		return CodeInternal
	}
	return said.Code
}

func unquoted(text jsontext.Value) string {
	decoded, err := jsontext.AppendUnquote(nil, text)
	if err != nil {
		return ""
	}
	return string(decoded)
}
