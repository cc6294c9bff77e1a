package schema_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"golang.org/x/tools/txtar"
	"sigs.k8s.io/yaml"

	"kasgen/generator/schema"
	"kasgen/generator/spec"
)

// compiled is the schema as somebody else's program understands it.
func compiled(t testing.TB) *jsonschema.Schema {
	t.Helper()
	text, err := schema.JSON()
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(nil) // it says itself which one it is
	if err := c.AddResource("schema.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// instance is a YAML text as an editor hands it to the schema.
func instance(text string) (any, error) {
	data, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		return nil, err
	}
	return jsonschema.UnmarshalJSON(bytes.NewReader(data))
}

const base = `apiVersion: kasgen/v1
gitlab: {url: https://gitlab.example.com}
names: {kas: kas.gitlab.example.com}
`

// TestGood holds the schema to every kasgen.yaml that something is rendered
// from.
func TestGood(t *testing.T) {
	t.Parallel()
	s := compiled(t)
	good := map[string]string{"the example": spec.Example, "the least": base}
	for name, text := range map[string]string{
		"null is unset":       "tls: {source: null}\nkas: {redis: null}\nloadBalancer:\nsuppress: null\n",
		"empty is unset":      "tls: {certificateFile: ''}\nloadBalancer: {proxyProtocol: ''}\nagents: {removeAfter: ''}\n",
		"durations":           "timeouts: {connect: 1.5s, idle: 1h30m, drain: +30s, sniff: .5s, header: 0m10s}\n",
		"addresses":           "loadBalancer: {listen: [':443', '[::]:444', '192.0.2.1:0445']}\nedge: {listen: 'localhost:9443'}\n",
		"a URL with a path":   "gitlab: {url: 'HTTPS://example.com:8443/git%20lab/a@b'}\n",
		"versions":            "kas: {version: v18.5}\nnginx: {version: '1.25.1', streamModule: ''}\n",
		"a date as it is":     "agents: {removeAfter: 2099-01-31}\n",
		"a suppression":       "timeouts: {idle: 5m}\nsuppress: [{code: KAS1706, reason: nobody waits, until: 2099-01-31}]\n",
		"a number for a port": "kas: {redis: {address: 'r:1', database: 1.0}}\n",
	} {
		if strings.HasPrefix(text, "gitlab:") {
			good[name] = "apiVersion: kasgen/v1\nnames: {kas: kas.example.com}\n" + text
		} else {
			good[name] = base + text
		}
	}
	files, err := filepath.Glob("../testdata/render/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no goldens", err)
	}
	for _, file := range files {
		a, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		good[filepath.Base(file)] = string(a.Files[0].Data)
	}
	for name, text := range good {
		if _, fs := spec.Read("kasgen.yaml", []byte(text), nil); fs.Failed() {
			t.Errorf("%s: the loader refuses it: %v", name, fs)
		}
		v, err := instance(text)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Validate(v); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// structural says whether a fault is of a single value, so that a schema can
// know it.
func structural(code string) bool {
	return code >= "KAS1005" && code <= "KAS1008" || strings.HasPrefix(code, "KAS14") || code == "KAS1801" || code == "KAS1802" || code == "KAS1803"
}

// TestBad holds the schema to refuse what the loader refuses in a single
// value, and to leave to the loader what lies between several.
func TestBad(t *testing.T) {
	t.Parallel()
	s := compiled(t)
	for name, tc := range map[string]struct {
		text    string
		code    string
		refused bool // by the schema
	}{
		"another version":       {strings.Replace(base, "kasgen/v1", "kasgen/v2", 1), "KAS1401", true},
		"no version":            {"gitlab: {url: 'https://a.b'}\nnames: {kas: k.a.b}\n", "KAS1401", true},
		"no GitLab":             {"apiVersion: kasgen/v1\nnames: {kas: k.a.b}\n", "KAS1402", true},
		"no name":               {"apiVersion: kasgen/v1\ngitlab: {url: 'https://a.b'}\nnames: {}\n", "KAS1402", true},
		"a null name":           {"apiVersion: kasgen/v1\ngitlab: {url: 'https://a.b'}\nnames: {kas: null}\n", "KAS1402", true},
		"null for a section":    {"apiVersion: kasgen/v1\ngitlab: {url: 'https://a.b'}\nnames: null\n", "KAS1402", true},
		"unknown key":           {base + "lodBalancer: {}\n", "KAS1005", true},
		"unknown key below":     {base + "kas: {listen: {agnt: ':1'}}\n", "KAS1005", true},
		"a list for a text":     {base + "stateDir: [/a]\n", "KAS1007", true},
		"a text for a list":     {base + "loadBalancer: {listen: ':443'}\n", "KAS1007", true},
		"a number for a text":   {base + "kas: {version: 18.5}\n", "KAS1007", true},
		"a text for a truth":    {base + "loadBalancer: {shareWithGitLab: {enabled: 'true'}}\n", "KAS1007", true},
		"a fraction":            {base + "loadBalancer: {maxConnections: 1.5}\n", "KAS1007", true},
		"null in a list":        {base + "loadBalancer: {listen: [null]}\n", "KAS1007", true},
		"a duration":            {base + "timeouts: {idle: 2 hours}\n", "KAS1008", true},
		"no unit":               {base + "timeouts: {idle: '2'}\n", "KAS1008", true},
		"a date":                {base + "agents: {removeAfter: 31.1.2027}\n", "KAS1008", true},
		"a day that is not":     {base + "agents: {removeAfter: '2027-13-01'}\n", "KAS1008", true},
		"a URL":                 {"apiVersion: kasgen/v1\ngitlab: {url: gitlab.example.com}\nnames: {kas: k.a.b}\n", "KAS1403", true},
		"a URL with a user":     {"apiVersion: kasgen/v1\ngitlab: {url: 'https://a:b@c.d'}\nnames: {kas: k.a.b}\n", "KAS1403", true},
		"a URL with a query":    {"apiVersion: kasgen/v1\ngitlab: {url: 'https://c.d/?a=b'}\nnames: {kas: k.a.b}\n", "KAS1403", true},
		"a name in capitals":    {"apiVersion: kasgen/v1\ngitlab: {url: 'https://a.b'}\nnames: {kas: K.a.b}\n", "KAS1404", true},
		"a name, an address":    {"apiVersion: kasgen/v1\ngitlab: {url: 'https://a.b'}\nnames: {kas: 192.0.2.1}\n", "KAS1404", true},
		"no port":               {base + "edge: {listen: 127.0.0.1}\n", "KAS1405", true},
		"port 0":                {base + "edge: {listen: '127.0.0.1:0'}\n", "KAS1405", true},
		"port 65536":            {base + "edge: {listen: '127.0.0.1:65536'}\n", "KAS1405", true},
		"bare IPv6":             {base + "edge: {listen: '::1:9443'}\n", "KAS1405", true},
		"listen on a name":      {base + "loadBalancer: {listen: ['a.b:443']}\n", "KAS1405", true},
		"dial everything":       {base + "migration: {keep: [{listen: ':1', backend: '0.0.0.0:2'}]}\n", "KAS1405", true},
		"half an entry":         {base + "migration: {keep: [{listen: ':1'}]}\n", "KAS1402", true},
		"a choice":              {base + "loadBalancer: {kind: hapoxy}\n", "KAS1406", true},
		"a TLS version":         {base + "tls: {minVersion: '1.1'}\n", "KAS1406", true},
		"a relative path":       {base + "stateDir: state\n", "KAS1407", true},
		"a path with dots":      {base + "stateDir: /a/../b\n", "KAS1407", true},
		"a path with a dollar":  {base + "stateDir: /a$b\n", "KAS1407", true},
		"the root":              {base + "stateDir: /\n", "KAS1407", true},
		"a slash at the end":    {base + "stateDir: /a/\n", "KAS1407", true},
		"zero":                  {base + "timeouts: {connect: 0s}\n", "KAS1408", true},
		"less than zero":        {base + "timeouts: {connect: -1s}\n", "KAS1408", true},
		"no connection":         {base + "loadBalancer: {maxConnections: 0}\n", "KAS1408", true},
		"a version":             {base + "kas: {version: latest}\n", "KAS1409", true},
		"a prefix":              {base + "kas: {pathPrefix: /k/}\n", "KAS1410", true},
		"twice":                 {base + "kas: {redis: {sentinel: {master: m, addresses: ['a:1', 'a:1']}}}\n", "KAS1411", true},
		"suppress, no reason":   {base + "suppress: [{code: KAS1706}]\n", "KAS1803", true},
		"suppress, empty":       {base + "suppress: [{code: KAS1706, reason: ' '}]\n", "KAS1803", true},
		"suppress, no code":     {base + "suppress: [{reason: r}]\n", "KAS1402", true},
		"suppress, unknown":     {base + "suppress: [{code: KAS9999, reason: r}]\n", "KAS1801", true},
		"suppress an error":     {base + "suppress: [{code: KAS1501, reason: r}]\n", "KAS1802", true},
		"a network":             {base + "loadBalancer: {realIPFrom: ['10.0.0.1']}\n", "KAS1412", true},
		"a limit too long":      {base + "timeouts: {idle: 600h}\n", "KAS1408", false},
		"a limit too fine":      {base + "timeouts: {connect: 1500us}\n", "KAS1408", false},
		"a version too old":     {base + "kas: {version: '15.0'}\n", "KAS1409", false},
		"neither nor":           {base + "kas: {redis: {}}\n", "KAS1402", false},
		"bits of a network":     {base + "loadBalancer: {realIPFrom: ['10.0.0.1/8']}\n", "KAS1412", false},
		"overlap":               {base + "edge: {listen: ':443'}\n", "KAS1501", false},
		"A and an HTTP one":     {base + "loadBalancer: {kind: external-http}\n", "KAS1502", false},
		"an idle limit":         {base + "timeouts: {idle: 60s}\n", "KAS1514", false},
		"GitLab's name for kas": {"apiVersion: kasgen/v1\ngitlab: {url: 'https://a.b'}\nnames: {kas: a.b}\n", "KAS1509", false},
	} {
		_, fs := spec.Read("kasgen.yaml", []byte(tc.text), nil)
		var codes []string
		for _, f := range fs {
			codes = append(codes, f.Code)
		}
		if !fs.Failed() || !slices.Contains(codes, tc.code) {
			t.Errorf("%s: the loader finds %v, want %s", name, codes, tc.code)
		}
		v, err := instance(tc.text)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Validate(v); (err != nil) != tc.refused {
			t.Errorf("%s: the schema says %v", name, err)
		}
	}
}

// leaves lists the path of every value in the schema; an item of a list is [].
func leaves(n *schema.Node, path string) []string {
	switch {
	case n.Properties != nil:
		list := []string{path}
		for _, p := range *n.Properties {
			at := p.Name
			if path != "" {
				at = path + "." + p.Name
			}
			list = append(list, leaves(p.Node, at)...)
		}
		return list
	case n.Items != nil:
		return append([]string{path}, leaves(n.Items, path+"[]")...)
	default:
		return []string{path}
	}
}

// surroundings are the sections in which a field must stand to be looked at.
func surroundings() map[string]map[string]any {
	return map[string]map[string]any{
		"kas.redis":          {"address": "redis.example.com:6379"},
		"kas.redis.sentinel": {"master": "m", "addresses": []any{"s.example.com:26379"}},
		"migration.keep[]":   {"listen": ":5000", "backend": "b.example.com:5001"},
		"suppress[]":         {"code": "KAS1706", "reason": "r"},

		"tls.sessionTickets":       {"keyFile": "/k"},
		"tls.clientCA":             {"file": "/ca.pem"},
		"tls.acme.cache.secret":    {"name": "n"},
		"tls.acme.externalAccount": {"keyID": "k", "keyFile": "/k"},
	}
}

// with is the least document, with a value at a path.
func with(path string, value any) map[string]any {
	doc := map[string]any{
		"apiVersion": "kasgen/v1",
		"gitlab":     map[string]any{"url": "https://gitlab.example.com"},
		"names":      map[string]any{"kas": "kas.gitlab.example.com"},
	}
	if strings.HasPrefix(path, "names.grpc") || strings.HasPrefix(path, "grpcBalancer") {
		doc["topology"] = "B" // A has no second name, which hides faults in it
	}
	at := doc
	walked := ""
	parts := strings.Split(path, ".")
	for i, part := range parts {
		walked = strings.TrimPrefix(walked+"."+part, ".")
		key, item := strings.CutSuffix(part, "[]")
		if i == len(parts)-1 {
			if item {
				value = []any{value}
			}
			at[key] = value
			return doc
		}
		next, ok := at[key].(map[string]any)
		if !ok {
			next = map[string]any{}
			for k, v := range surroundings()[walked] {
				next[k] = v
			}
			at[key] = next
			if item {
				at[key] = []any{next}
			}
		}
		at = next
	}
	return doc
}

// TestEveryField tries every field with values of every kind: the schema
// refuses where the loader finds a fault of this one value, and nowhere else.
func TestEveryField(t *testing.T) {
	t.Parallel()
	s := compiled(t)
	root, err := schema.New()
	if err != nil {
		t.Fatal(err)
	}
	rules := spec.Rules()
	values := []any{
		nil, true, 1, -1, 70000, 1.5, []any{}, []any{"x"}, []any{"192.0.2.7:77"}, []any{nil}, map[string]any{}, map[string]any{"nope": 1},
		"", " ", "x", "X", "a.example.com", "a.example.com:77", "192.0.2.7:77", ":77", "0.0.0.0:77", "[::1]:77", "192.0.2.7", "10.0.0.0/8",
		"/a/b", "/a//b", "a/b", "/", "/a b", "https://a.example.com", "ftp://a.example.com", "5m", "0s", "-5m", "5", "2099-01-31", "1.2.3", "18.5.0", "v1", "none", "files",
		"KAS1706", "ops@a.example.com", "é", "a\tb", "a\nb", "/a\nb", "5m\n", "192.0.2.7:77\n",
	}
	tried := 0
	for _, path := range leaves(root, "") {
		if path == "" || strings.Contains(path, "apiVersion") {
			continue
		}
		for _, value := range values {
			doc := with(path, value)
			text, err := json.Marshal(doc)
			if err != nil {
				t.Fatal(err)
			}
			v, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
			if err != nil {
				t.Fatal(err)
			}
			refused := s.Validate(v) != nil
			_, fs := spec.Read("kasgen.yaml", text, nil)
			fault := false
			at := strings.ReplaceAll(path, "[]", "[0]")
			for _, f := range fs {
				fault = fault || structural(f.Code) && (f.Field == at || strings.HasPrefix(f.Field, at+".") || strings.HasPrefix(f.Field, at+"["))
			}
			tried++
			if fault == refused || excused(path, value, rules) {
				continue
			}
			t.Errorf("%s = %q: the schema refuses: %v, the loader finds: %v", path, fmt.Sprint(value), refused, fs)
		}
	}
	if tried < 2000 {
		t.Errorf("only %d values were tried", tried)
	}
}

// excused are the differences that are meant.
func excused(path string, value any, rules map[string]spec.Rule) bool {
	if r, ok := rules[path]; ok && !r.Always && r.Form != "" {
		return true // looked at in some specs only, and the schema always does
	}
	switch {
	case path == "kas.version" || path == "nginx.version":
		return value == "1.2.3" // too old
	case path == "loadBalancer.listen" && fmt.Sprint(value) == "[]":
		return true // somebody else's balancer needs none
	case path == "kas.redis" && fmt.Sprint(value) == "map[]":
		return true // one of two fields
	case path == "kas.redis.sentinel" && fmt.Sprint(value) != "map[]":
		return true // beside an address
	}
	return false
}

// TestDescribed holds every field to having words in the spec's own text.
func TestDescribed(t *testing.T) {
	t.Parallel()
	root, err := schema.New()
	if err != nil {
		t.Fatal(err)
	}
	var walk func(n *schema.Node, path string)
	walk = func(n *schema.Node, path string) {
		if n.Items != nil {
			walk(n.Items, path)
		}
		if n.Properties == nil {
			return
		}
		for _, p := range *n.Properties {
			if p.Description == "" {
				t.Errorf("nothing is said about %s: write a comment beside the field", path+p.Name)
			}
			walk(p.Node, path+p.Name+".")
		}
	}
	walk(root, "")
}

// TestFree holds each text to a rule, or to the list of those that may be
// anything. A new field that no check looks at fails here.
func TestFree(t *testing.T) {
	t.Parallel()
	root, err := schema.New()
	if err != nil {
		t.Fatal(err)
	}
	var free []string
	var walk func(n *schema.Node, path string)
	walk = func(n *schema.Node, path string) {
		switch kind := fmt.Sprint(n.Type); {
		case n.Properties != nil:
			for _, p := range *n.Properties {
				walk(p.Node, path+"."+p.Name)
			}
		case n.Items != nil:
			walk(n.Items, path+"[]")
		case strings.Contains(kind, "string") && n.Enum == nil && n.Const == nil && n.Pattern == "":
			free = append(free, path[1:])
		}
	}
	walk(root, "")
	if d := cmp.Diff([]string{"kas.redis.username", "kas.redis.keyPrefix", "suppress[].field"}, free); d != "" {
		t.Error(d)
	}
}

// TestDeterminism holds the text to be the same each time.
func TestDeterminism(t *testing.T) {
	t.Parallel()
	want, err := schema.JSON()
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		got, err := schema.JSON()
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(string(want), string(got)); d != "" {
			t.Fatal(d)
		}
	}
}
