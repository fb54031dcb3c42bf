package awscode

import (
	"strconv"
	"strings"
)

// join concatenates texts.
func (a *analysis) join(parts []expression) []alternative {
	joined := []alternative{{value: value{valueString, ""}}}
	for _, part := range parts {
		joined = a.concatenate(joined, a.eval(part))
	}
	return joined
}

func (a *analysis) concatenate(left, right []alternative) []alternative {
	var all []alternative
	for _, l := range left {
		for _, r := range right {
			a.step(1)
			choices, ok := agree(l.choices, r.choices)
			if !ok {
				continue
			}
			both := alternative{choices: choices}
			if l.value.kind == valueString && r.value.kind == valueString {
				both.value = value{valueString, l.value.text + r.value.text}
			}
			if all = append(all, both); len(all) > maxAlternatives || len(both.value.text) > maxText {
				return unknown
			}
		}
	}
	return all
}

// template fills each template that e may be; parts gives nil for one that is
// not followed.
func (a *analysis) template(e expression, parts func(string) []expression) []alternative {
	var all []alternative
	for _, t := range a.eval(e) {
		if t.value.kind != valueString {
			return unknown
		}
		filled := parts(t.value.text)
		if filled == nil {
			return unknown
		}
		all = append(all, a.concatenate([]alternative{{value{valueString, ""}, t.choices}}, a.join(filled))...)
	}
	return a.bounded(all)
}

func text(s string) expression { return &constant{kind: constantString, text: s} }

func fieldOf(e expression) expression { return &replacement{value: e, plain: true} }

// percent splits a template of %s and %%.
// https://docs.python.org/3.12/library/stdtypes.html#printf-style-string-formatting
func percent(template string, arguments []expression) []expression {
	parts := []expression{text("")}
	for {
		before, after, found := strings.Cut(template, "%")
		parts = append(parts, text(before))
		switch {
		case !found && len(arguments) == 0:
			return parts
		case !found:
			return nil
		case strings.HasPrefix(after, "%"):
			parts = append(parts, text("%"))
		case strings.HasPrefix(after, "s") && len(arguments) > 0:
			if _, star := arguments[0].(*starred); star {
				return nil
			}
			parts = append(parts, fieldOf(arguments[0]))
			arguments = arguments[1:]
		default:
			return nil
		}
		template = after[1:]
	}
}

// format splits a template of str.format whose fields are names or positions.
// https://docs.python.org/3.12/library/string.html#format-string-syntax
func format(template string, c *call) []expression {
	parts := []expression{text("")}
	automatic := 0
	for template != "" {
		n := strings.IndexAny(template, "{}")
		if n < 0 {
			return append(parts, text(template))
		}
		parts = append(parts, text(template[:n]))
		brace, rest := template[n:n+1], template[n+1:]
		if strings.HasPrefix(rest, brace) {
			parts, template = append(parts, text(brace)), rest[1:]
			continue
		}
		id, after, closed := strings.Cut(rest, "}")
		if brace == "}" || !closed {
			return nil
		}
		argument := formatArgument(id, &automatic, c)
		if argument == nil {
			return nil
		}
		parts, template = append(parts, fieldOf(argument)), after
	}
	return parts
}

func formatArgument(id string, automatic *int, c *call) expression {
	for _, k := range c.keywords {
		if k.name == "" {
			return nil
		}
		if k.name == id {
			return k.value
		}
	}
	position, err := strconv.Atoi(id)
	switch {
	case id == "" && *automatic >= 0:
		position = *automatic
		*automatic++
	case err != nil || position < 0 || *automatic > 0:
		return nil
	default:
		*automatic = -1
	}
	if hasStar(c.arguments) || position >= len(c.arguments) {
		return nil
	}
	return c.arguments[position]
}
