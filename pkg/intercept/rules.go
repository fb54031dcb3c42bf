package intercept

// Rules are what `sidecar redirect` writes.
type Rules struct {
	// To is the port that connections are sent to.
	To uint16
	// Ports are the destination ports that are redirected.
	Ports []uint16
	// UID is whose connections are left alone: the sidecar's.
	UID uint32
}
