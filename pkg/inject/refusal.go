package inject

import "fmt"

// Code tells refusals apart in metrics and logs.
type Code string

// Every reason for which a Pod is refused.
const (
	CodeBadAnnotation       Code = "BadAnnotation"
	CodeReservedAddress     Code = "ReservedAddress"
	CodeConfigMapNotFound   Code = "ConfigMapNotFound"
	CodeConfigMapUnlabelled Code = "ConfigMapUnlabelled"
	CodeConfigMapForbidden  Code = "ConfigMapForbidden"
	CodeConfigMapInvalid    Code = "ConfigMapInvalid"
	CodeHostNetwork         Code = "HostNetwork"
	CodeMirrorPod           Code = "MirrorPod"
	CodeWindowsPod          Code = "WindowsPod"
	CodeReservedUser        Code = "ReservedUser"
	CodeUIDRange            Code = "UIDRange"
	CodeUserUnknown         Code = "UserUnknown"
	CodeReservedContainer   Code = "ReservedContainer"
	CodeReservedVolume      Code = "ReservedVolume"
	CodeReservedMount       Code = "ReservedMount"
	CodeReservedPort        Code = "ReservedPort"
	CodeUpstreamPort        Code = "UpstreamPort"
	CodeUpstreamAlias       Code = "UpstreamAlias"
	CodeUpstreamAddress     Code = "UpstreamAddress"
	CodeHostsFile           Code = "HostsFile"
	CodeSysctl              Code = "Sysctl"
	CodeTransparentProxy    Code = "TransparentProxy"
	CodePodSecurityLevel    Code = "PodSecurityLevel"
	CodeInjectedOtherwise   Code = "InjectedOtherwise"
	CodeResourcesContradict Code = "ResourcesContradict"
	CodeExchangeCredential  Code = "ExchangeCredential"
)

// Refusal says why a Pod cannot be injected correctly.
type Refusal struct { //nolint:errname // admission says refusal, and few treat it as an error
	Code Code
	// Sentence names what is wrong and where, and both sides of a clash. It
	// does not end in a full stop.
	Sentence string
}

// Error is the sentence with the code behind it.
func (r *Refusal) Error() string { return r.Sentence + " (" + string(r.Code) + ")" }

// Refuse makes a Refusal.
func Refuse(code Code, format string, args ...any) *Refusal {
	return &Refusal{Code: code, Sentence: fmt.Sprintf(format, args...)}
}
