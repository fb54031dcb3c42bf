package mcp

import (
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// ListKinds is a set of the lists of which a server tells that they changed.
type ListKinds uint8

// The lists.
const (
	ListOfTools ListKinds = 1 << iota
	ListOfPrompts
	ListOfResources

	AllLists = ListOfTools | ListOfPrompts | ListOfResources
)

// listChangedMethods are the notifications by the kind of list.
var listChangedMethods = []struct {
	kind   ListKinds
	method string
}{
	{ListOfTools, "notifications/tools/list_changed"},
	{ListOfPrompts, "notifications/prompts/list_changed"},
	{ListOfResources, "notifications/resources/list_changed"},
}

// AsksForCapabilities reports whether the answer to a method says what a server
// can do.
func AsksForCapabilities(method string) bool {
	return method == "initialize" || method == "server/discover"
}

// DeclaredLists reads the capabilities of a server: the lists for which it
// declares listChanged.
func DeclaredLists(capabilities jsontext.Value) ListKinds {
	type list struct {
		ListChanged bool `json:"listChanged"`
	}
	var said struct {
		Tools     list `json:"tools"`
		Prompts   list `json:"prompts"`
		Resources list `json:"resources"`
	}
	if json.Unmarshal(capabilities, &said) != nil {
		return 0
	}
	return kindsOf(said.Tools.ListChanged, said.Prompts.ListChanged, said.Resources.ListChanged)
}

func kindsOf(tools, prompts, resources bool) ListKinds {
	var kinds ListKinds
	for kind, set := range map[ListKinds]bool{ListOfTools: tools, ListOfPrompts: prompts, ListOfResources: resources} {
		if set {
			kinds |= kind
		}
	}
	return kinds
}

// subscribedLists are the members of params.notifications of
// subscriptions/listen and of its acknowledgement.
type subscribedLists struct {
	Tools     bool `json:"toolsListChanged"`
	Prompts   bool `json:"promptsListChanged"`
	Resources bool `json:"resourcesListChanged"`
}

func (l subscribedLists) kinds() ListKinds { return kindsOf(l.Tools, l.Prompts, l.Resources) }

// AcknowledgedLists reads a message of the server: whether it acknowledges a
// subscription, and to which lists.
func AcknowledgedLists(method string, params jsontext.Value) (ListKinds, bool) {
	if method != "notifications/subscriptions/acknowledged" {
		return 0, false
	}
	var said struct {
		Notifications subscribedLists `json:"notifications"`
	}
	if json.Unmarshal(params, &said) != nil {
		return 0, false
	}
	return said.Notifications.kinds(), true
}

// AppendListChanged appends events that tell a client that lists have changed;
// subscription is the id of its subscriptions/listen, or empty. The events have
// no id: a client that resumes names one of the upstream's.
func AppendListChanged(dst []byte, kinds ListKinds, subscription jsontext.Value) []byte {
	for _, row := range listChangedMethods {
		if kinds&row.kind == 0 {
			continue
		}
		dst = append(append(dst, `data: {"jsonrpc":"2.0","method":"`...), row.method...)
		dst = append(dst, '"')
		if len(subscription) > 0 {
			dst = append(dst, `,"params":{"_meta":{"io.modelcontextprotocol/subscriptionId":`...)
			dst = append(append(dst, subscription...), "}}"...)
		}
		dst = append(dst, "}\n\n"...)
	}
	return dst
}
