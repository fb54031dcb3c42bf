package main

import (
	"encoding/json"
	"reflect"
	"testing"
)

func TestAContainerAsksForNothingThatTheMachineRefuses(t *testing.T) {
	const spec = `{"ociVersion":"1.0.2","process":{"args":["/sbin/init"],
		"capabilities":{"bounding":["CAP_CHOWN","CAP_SYS_RESOURCE","CAP_OF_THE_FUTURE"],"inheritable":["CAP_SYS_RESOURCE"]},
		"rlimits":[{"type":"RLIMIT_NOFILE","hard":1048576,"soft":1024},{"type":"RLIMIT_CORE","hard":0,"soft":0}],
		"oomScoreAdj":-999},"linux":{"resources":{"memory":{"limit":9223372036854771712}}}}`
	const resource = 1 << 24
	tests := map[string]struct {
		machine limits
		process string
	}{
		"without SYS_RESOURCE": {
			machine: limits{capabilities: 1, hard: map[string]uint64{"RLIMIT_NOFILE": 4096, "RLIMIT_CORE": 0}},
			process: `{"args":["/sbin/init"],"capabilities":{"bounding":["CAP_CHOWN"],"inheritable":[]},
				"rlimits":[{"type":"RLIMIT_CORE","hard":0,"soft":0}]}`,
		},
		"the score and the limits are what they were": {
			machine: limits{
				capabilities: 1, oomScoreAdj: -999,
				hard: map[string]uint64{"RLIMIT_NOFILE": 1048576, "RLIMIT_CORE": 0},
			},
			process: `{"args":["/sbin/init"],"capabilities":{"bounding":["CAP_CHOWN"],"inheritable":[]},
				"rlimits":[{"type":"RLIMIT_NOFILE","hard":1048576,"soft":1024},{"type":"RLIMIT_CORE","hard":0,"soft":0}],
				"oomScoreAdj":-999}`,
		},
		"who may raise limits keeps them": {
			machine: limits{capabilities: 1 | resource},
			process: `{"args":["/sbin/init"],
				"capabilities":{"bounding":["CAP_CHOWN","CAP_SYS_RESOURCE"],"inheritable":["CAP_SYS_RESOURCE"]},
				"rlimits":[{"type":"RLIMIT_NOFILE","hard":1048576,"soft":1024},{"type":"RLIMIT_CORE","hard":0,"soft":0}],
				"oomScoreAdj":-999}`,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			fitted, err := test.machine.fit([]byte(spec), wholeContainer)
			if err != nil {
				t.Fatal(err)
			}
			var got map[string]json.RawMessage
			if err := json.Unmarshal(fitted, &got); err != nil {
				t.Fatal(err)
			}
			equal(t, string(got["process"]), test.process)
			if limit := string(got["linux"]); limit != `{"resources":{"memory":{"limit":9223372036854771712}}}` {
				t.Errorf("linux is %s", limit)
			}
			alone, err := test.machine.fit(processOf(t, spec), processAlone)
			if err != nil {
				t.Fatal(err)
			}
			equal(t, string(alone), test.process)
		})
	}
}

func processOf(t *testing.T, spec string) []byte {
	t.Helper()
	var members map[string]json.RawMessage
	if err := json.Unmarshal([]byte(spec), &members); err != nil {
		t.Fatal(err)
	}
	return members["process"]
}

func equal(t *testing.T, got, want string) {
	t.Helper()
	var g, w any
	if err := json.Unmarshal([]byte(got), &g); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(want), &w); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(g, w) {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestTheSpecificationIsFoundWhereTheCallerPutsIt(t *testing.T) {
	tests := map[string]struct {
		arguments  []string
		path, part string
	}{
		"create": {
			[]string{"--root", "/run/r", "--log-format", "json", "create", "--bundle", "/b", "--pid-file", "/p", "id"},
			"/b/config.json", wholeContainer,
		},
		"run in the current directory": {[]string{"run", "id"}, "config.json", wholeContainer},
		"restore":                      {[]string{"restore", "-b=/b", "id"}, "/b/config.json", wholeContainer},
		"exec": {
			[]string{"--systemd-cgroup", "exec", "--process", "/tmp/p.json", "--detach", "id"}, "/tmp/p.json", processAlone,
		},
		"a file of the command's own": {[]string{"exec", "id", "prog", "-p", "/file.json"}, "", processAlone},
		"a container of that name":    {[]string{"--root", "/run/r", "delete", "--force", "run"}, "", ""},
		"a root of that name":         {[]string{"--root", "run", "state", "id"}, "", ""},
		"exec with a command":         {[]string{"exec", "id", "sh"}, "", processAlone},
		"starts nothing":              {[]string{"kill", "id", "9"}, "", ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if path, part := specification(test.arguments); path != test.path || part != test.part {
				t.Errorf("got %q and %q", path, part)
			}
		})
	}
}
