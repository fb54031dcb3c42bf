package authconfig

import (
	"errors"

	"github.com/go-json-experiment/json/jsontext"
)

func jsonSyntaxError(err error) (*jsontext.SyntacticError, bool) {
	var syntax *jsontext.SyntacticError
	ok := errors.As(err, &syntax)
	return syntax, ok
}
