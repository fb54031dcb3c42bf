package commands

import (
	"fmt"
	"io"
	"os"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	sigsyaml "sigs.k8s.io/yaml"
)

// WriteDocument writes a result for programs.
func WriteDocument(w io.Writer, form Format, document any) error {
	text, err := json.Marshal(document, json.Deterministic(true), jsontext.WithIndent("  "))
	if err != nil {
		return fmt.Errorf("write the result: %w", err)
	}
	if form == FormatYAML {
		if text, err = sigsyaml.JSONToYAML(text); err != nil {
			return fmt.Errorf("write the result: %w", err)
		}
	} else {
		text = append(text, '\n')
	}
	_, err = w.Write(text)
	return err
}

// Palette colours words on a terminal.
type Palette struct{ on bool }

// PaletteFor colours where w is a terminal and NO_COLOR is not set (https://no-color.org).
func PaletteFor(w io.Writer) Palette {
	return Palette{on: IsTerminal(w) && os.Getenv("NO_COLOR") == ""}
}

// IsTerminal reports whether w is one.
func IsTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && os.Getenv("TERM") != "dumb"
}

func (p Palette) paint(code, text string) string {
	if !p.on {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// Good is for what is as it should be.
func (p Palette) Good(text string) string { return p.paint("32", text) }

// Bad is for what is not.
func (p Palette) Bad(text string) string { return p.paint("31", text) }

// Odd is for what may not be meant.
func (p Palette) Odd(text string) string { return p.paint("33", text) }

// Quiet is for what is read last.
func (p Palette) Quiet(text string) string { return p.paint("2", text) }
