package intercept

// Rules are what `sidecar redirect` writes.
type Rules struct {
	// To is the port that connections are sent to.
	To uint16
	// Ports are those that connections to are sent there.
	Ports []uint16
	// UID is whose connections are left alone: the sidecar's.
	UID uint32
}
