package policy

import (
	"strconv"
	"strings"

	"github.com/cedar-policy/cedar-go/types"
)

// maxLongDigits is the number of digits of the largest Long.
const maxLongDigits = 19

// numberValue turns a JSON number into a Long when it is integral however it is
// written (22, 22.0, 2.2e1), else into a decimal. It is false for a number that
// neither holds exactly: an upstream that computes with doubles could see 22 where
// a policy saw something else. It never computes with floating point itself:
// 9007199254740993 stays itself.
func numberValue(text string) (value types.Value, exact bool) {
	digits, ok := plainNotation(text)
	if !ok {
		return nil, false
	}
	if long, err := strconv.ParseInt(digits, 10, 64); err == nil {
		return types.Long(long), true
	}
	if !strings.Contains(digits, ".") {
		return nil, false
	}
	decimal, err := types.ParseDecimal(digits)
	return decimal, err == nil
}

// decimalValue turns a JSON number into a decimal; it is false for one that is not
// exactly one.
func decimalValue(text string) (value types.Value, exact bool) {
	digits, ok := plainNotation(text)
	if !ok {
		return nil, false
	}
	if !strings.Contains(digits, ".") {
		digits += ".0"
	}
	decimal, err := types.ParseDecimal(digits)
	return decimal, err == nil
}

// plainNotation writes a JSON number without an exponent and without zeros that
// say nothing: -2.50e1 is -25. It gives up on numbers too long for any Cedar
// type before it writes them out, so that 1e999999999 costs nothing.
func plainNotation(text string) (string, bool) {
	sign := ""
	if strings.HasPrefix(text, "-") {
		sign, text = "-", text[1:]
	}
	exponent := 0
	if i := strings.IndexAny(text, "eE"); i >= 0 {
		parsed, err := strconv.Atoi(text[i+1:])
		if err != nil {
			return "0", isZeroDigits(text[:i])
		}
		exponent, text = parsed, text[:i]
	}
	whole, fraction, _ := strings.Cut(text, ".")
	digits := strings.TrimLeft(whole+fraction, "0")
	if digits == "" {
		return "0", true
	}
	point := exponent - len(fraction) // the value is digits * 10^point
	trimmed := strings.TrimRight(digits, "0")
	point, digits = point+len(digits)-len(trimmed), trimmed
	if len(digits) > 2*maxLongDigits || point > maxLongDigits || point < -maxLongDigits {
		return "", false
	}
	if point >= 0 {
		return sign + digits + strings.Repeat("0", point), true
	}
	if missing := 1 - (len(digits) + point); missing > 0 {
		digits = strings.Repeat("0", missing) + digits
	}
	return sign + digits[:len(digits)+point] + "." + digits[len(digits)+point:], true
}

func isZeroDigits(mantissa string) bool { return strings.Trim(mantissa, "0.") == "" }
