//go:build unix

package adminport

import (
	"io/fs"
	"os"
	"syscall"
)

// isThisUsers reports whether the user of this process owns a file.
func isThisUsers(info fs.FileInfo) bool {
	owner, known := info.Sys().(*syscall.Stat_t)
	return !known || int(owner.Uid) == os.Getuid()
}
