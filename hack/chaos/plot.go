package main

import (
	"fmt"
	"math"
	"strings"
)

// point is one value at a time in seconds.
type point struct{ x, y float64 }

type line struct {
	name   string
	points []point
}

// panel is one diagram; its axis begins at zero.
type panel struct {
	title string
	lines []line
}

const (
	plotWidth, panelHeight         = 900, 220
	plotLeft, plotRight, plotAbove = 60, 20, 36
)

var lineColours = []string{"#b5541c", "#1c6db5"}

// plot draws panels below each other over the same time, in SVG that needs nothing else.
func plot(caption string, marks []float64, panels []panel) string {
	end := 1.0
	for _, p := range panels {
		for _, l := range p.lines {
			for _, at := range l.points {
				end = math.Max(end, at.x)
			}
		}
	}
	var b strings.Builder
	height := len(panels)*(panelHeight+plotAbove) + 30
	_, _ = fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" `+
		`font-size="12"><rect width="100%%" height="100%%" fill="white"/>`+"\n", plotWidth, height)
	for i, p := range panels {
		p.draw(&b, float64(i*(panelHeight+plotAbove)+plotAbove), end, marks)
	}
	_, _ = fmt.Fprintf(&b, `<text x="%d" y="%d">%.0f s. %s</text>`+"\n</svg>\n", plotLeft, height-8, end, caption)
	return b.String()
}

func (p *panel) draw(b *strings.Builder, top, end float64, marks []float64) {
	most := 1.0
	for _, l := range p.lines {
		for _, at := range l.points {
			most = math.Max(most, at.y)
		}
	}
	step := niceStep(most / 4)
	most = math.Ceil(most/step) * step
	x := func(at float64) float64 { return plotLeft + at/end*(plotWidth-plotLeft-plotRight) }
	y := func(value float64) float64 { return top + panelHeight*(1-value/most) }
	_, _ = fmt.Fprintf(b, `<text x="%d" y="%.0f" font-weight="bold">%s</text>`+"\n", plotLeft, top-10, p.title)
	for value := 0.0; value <= most+step/2; value += step {
		_, _ = fmt.Fprintf(
			b,
			`<path d="M%d %.1fH%d" stroke="#ddd"/><text x="%d" y="%.1f" text-anchor="end">%g</text>`+"\n",
			plotLeft,
			y(value),
			plotWidth-plotRight,
			plotLeft-6,
			y(value)+4,
			value,
		)
	}
	for _, mark := range marks {
		_, _ = fmt.Fprintf(b, `<path d="M%.1f %.1fV%.1f" stroke="#888" stroke-dasharray="4"/>`+"\n",
			x(mark), top, top+panelHeight)
	}
	for i, l := range p.lines {
		colour := lineColours[i%len(lineColours)]
		b.WriteString(`<polyline fill="none" stroke="` + colour + `" points="`)
		for _, at := range l.points {
			_, _ = fmt.Fprintf(b, "%.1f,%.1f ", x(at.x), y(at.y))
		}
		_, _ = fmt.Fprintf(b, `"/><text x="%d" y="%.0f" text-anchor="end" fill="%s">%s</text>`+"\n",
			plotWidth-plotRight-80*i, top-10, colour, l.name)
	}
}

// niceStep is 1, 2 or 5 times a power of ten, at least the value.
func niceStep(least float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(least)))
	for _, factor := range []float64{1, 2, 5} {
		if factor*power >= least {
			return factor * power
		}
	}
	return 10 * power
}
