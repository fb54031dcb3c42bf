package inject

import "github.com/countersign-io/countersign/pkg/authconfig"

// Annotations of Pods.
const (
	// AnnotationAuthConfig names the auth-config; its presence asks for
	// injection.
	AnnotationAuthConfig = authconfig.Prefix + "/auth-config"
	// AnnotationInject opts out with the value "false".
	AnnotationInject = authconfig.Prefix + "/inject"
	// AnnotationIntercept chooses the Mode.
	AnnotationIntercept = authconfig.Prefix + "/intercept"
	// AnnotationContainers lists the containers that get the environment.
	AnnotationContainers = authconfig.Prefix + "/containers"
	// AnnotationStatus is written by us and says what was injected. It marks
	// objects with our names as ours; nothing else in it is believed.
	AnnotationStatus = authconfig.Prefix + "/status"

	annotationCPURequest    = authconfig.Prefix + "/proxy-cpu-request"
	annotationMemoryRequest = authconfig.Prefix + "/proxy-memory-request"
	annotationCPULimit      = authconfig.Prefix + "/proxy-cpu-limit"
	annotationMemoryLimit   = authconfig.Prefix + "/proxy-memory-limit"
	annotationLogLevel      = authconfig.Prefix + "/proxy-log-level"
)

// LabelConfigMap is on every injected Pod, so that the Pods that use a
// ConfigMap can be listed; see ConfigMapLabel for its value.
const LabelConfigMap = authconfig.Prefix + "/config-map"

// Labels of ConfigMaps and namespaces.
const (
	// LabelAuthConfig is "true" on a ConfigMap that is an auth-config.
	LabelAuthConfig = authconfig.Prefix + "/auth-config"
	// LabelShared is "true" on an auth-config of the system namespace that
	// every labelled namespace may use.
	LabelShared = authconfig.Prefix + "/shared"
	// LabelInjection is "enabled" on a namespace whose Pods may be injected.
	LabelInjection = authconfig.Prefix + "/injection"
	// LabelConfigs is "shared" on a namespace that may use shared auth-configs
	// only.
	LabelConfigs = authconfig.Prefix + "/configs"

	// SharedPrefix begins the name of a copy of a shared auth-config.
	SharedPrefix = "countersign-shared-"
)

// What is ours in a Pod. Nobody else may use these names.
const (
	ContainerSidecar  = "countersign"
	ContainerRedirect = "countersign-redirect"

	volumeConfig = "countersign-config"
	volumeCA     = "countersign-ca"
	volumeCAKey  = "countersign-ca-key"
	volumeToken  = "countersign-token"
	// volumeSession keeps what binds MCP sessions and the admin token, volumeExchange what
	// authenticates the sidecar at the identity provider.
	volumeSession  = "countersign-session"
	volumeExchange = "countersign-exchange"

	mountRoot    = "/var/run/countersign"
	mountConfig  = mountRoot + "/config"
	mountCA      = mountRoot + "/ca"
	mountCAKey   = mountRoot + "/ca-key"
	mountToken   = mountRoot + "/token"
	mountSession = mountRoot + "/session"

	// AdminTokenFile is where a sidecar keeps the token of its admin port: on a volume that no
	// other container mounts.
	AdminTokenFile = mountSession + "/admin-token"

	mountExchange = mountRoot + "/exchange"
	// fileCredential authenticates the client, fileActor is the actor's token.
	fileCredential = "credential"
	fileActor      = "actor"

	// UserID is the uid and gid of the sidecar where no others are asked for.
	UserID = 15337

	portLoopback = 15380
	portRedirect = 15381
	portAdmin    = 15390

	// hostsAddress is where upstream host names point to in mode hosts. It is
	// not 127.0.0.1, so that it is free of what the app listens on there.
	hostsAddress   = "127.0.0.137"
	hostsAddressV6 = "::1"
)

var (
	reservedContainers = []string{ContainerSidecar, ContainerRedirect}
	reservedVolumes    = []string{volumeConfig, volumeCA, volumeCAKey, volumeToken, volumeSession, volumeExchange}
	reservedPorts      = []int32{portLoopback, portRedirect, portAdmin}
)
