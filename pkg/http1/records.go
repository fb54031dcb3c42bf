package http1

import "net"

// recordHeader is how long the header of a TLS record is, whose last two bytes are the length of what
// follows: RFC 8446, section 5.1.
const recordHeader = 5

// records is what TLS reads from. It follows where records end: of one that is there in part TLS
// tells nobody.
type records struct {
	net.Conn
	// header is how much of a record's header was read, rest how much of the record is to come.
	header, rest int
}

// Read implements io.Reader.
func (r *records) Read(b []byte) (int, error) {
	n, err := r.Conn.Read(b)
	r.follow(b[:n])
	return n, err
}

func (r *records) follow(b []byte) {
	for len(b) > 0 {
		if r.header < recordHeader {
			if r.header >= recordHeader-2 {
				r.rest = r.rest<<8 | int(b[0])
			}
			r.header++
			b = b[1:]
		} else {
			n := min(r.rest, len(b))
			r.rest -= n
			b = b[n:]
		}
		if r.header == recordHeader && r.rest == 0 {
			r.header = 0
		}
	}
}

// areWhole reports whether no part of another record was read.
func (r *records) areWhole() bool { return r.header == 0 }
