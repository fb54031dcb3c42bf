package inject

import (
	"strconv"
	"strings"
)

// annotationUIDRange is how OpenShift gives a namespace its uids: the first and how
// many, or the first and the last.
// https://docs.redhat.com/en/documentation/openshift_container_platform (security context constraints)
const annotationUIDRange = "openshift.io/sa.scc.uid-range"

// sidecarUser is the uid and gid of the sidecar in this Pod. In a namespace with a
// range of its own it is the second of them: the first is that of every container
// which does not say otherwise.
func sidecarUser(namespace Namespace, options *Options) (int64, *Refusal) {
	if !options.UserOfNamespace {
		return UserID, nil
	}
	value, ok := namespace.Annotations[annotationUIDRange]
	if !ok {
		return UserID, nil
	}
	first, last, ok := parseUIDRange(value)
	if !ok || first >= last {
		return 0, Refuse(
			CodeUIDRange,
			"the namespace %q has no second uid for the sidecar: %s is %q",
			namespace.Name,
			annotationUIDRange,
			value,
		)
	}
	return first + 1, nil
}

func parseUIDRange(value string) (first, last int64, ok bool) {
	// Several ranges are separated by commas.
	value, _, _ = strings.Cut(value, ",")
	separator := "-"
	if strings.Contains(value, "/") {
		separator = "/"
	}
	left, right, found := strings.Cut(value, separator)
	first, err := strconv.ParseInt(left, 10, 32)
	second, err2 := strconv.ParseInt(right, 10, 32)
	if !found || err != nil || err2 != nil || first <= 0 || second <= 0 {
		return 0, 0, false
	}
	if separator == "/" {
		return first, first + second - 1, true
	}
	return first, second, true
}
