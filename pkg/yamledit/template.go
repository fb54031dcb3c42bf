package yamledit

import "go.yaml.in/yaml/v3"

// PodPath is where the object holds a Pod or a template of one; found is false
// for other objects. Kinds that are not Kubernetes' own are known by their
// shape: spec.template.spec.containers.
func (o *Object) PodPath() (path []string, found bool) {
	switch o.Kind {
	case "Pod":
		return nil, true
	case "CronJob":
		path = []string{"spec", "jobTemplate", "spec", "template"}
	case "PodTemplate":
		path = []string{"template"}
	default:
		path = []string{"spec", "template"}
	}
	containers := o.node
	for _, key := range append(path[:len(path):len(path)], "spec", "containers") {
		if containers = child(containers, key); containers == nil {
			return nil, false
		}
	}
	if containers.Kind == yaml.AliasNode {
		containers = containers.Alias
	}
	return path, containers.Kind == yaml.SequenceNode
}
