package spec

import (
	"reflect"
	"regexp"
	"slices"
	"strings"

	"kasgen/internal/strictyaml"
)

// Form is how a text is written.
type Form string

// The forms.
const (
	FormURL     Form = "url"
	FormHTTPS   Form = "https" // a URL of that scheme
	FormEmail   Form = "email"
	FormName    Form = "name"    // host name
	FormAddress Form = "address" // host:port; no host is every address
	FormListen  Form = "listen"  // an address of this machine, not a name
	FormDialled Form = "dialled" // host:port of one host
	FormPath    Form = "path"    // of a file, absolute
	FormPrefix  Form = "prefix"  // of URL paths
	FormVersion Form = "version"
	FormModule  Form = "module"  // file of nginx's modules
	FormLimit   Form = "limit"   // a duration above zero
	FormNetwork Form = "network" // in CIDR notation
)

// Rule is what the rules say about one field without looking at another.
type Rule struct {
	Form        Form
	Values      []string // of an enumeration
	Least, Most int      // of a number; both 0: any
	Unique      bool     // a list without repetition
	Required    bool     // it must not be empty
	Always      bool     // whatever other fields say, as long as its section is there
}

// Rules lists the rule of each field that has one, by its path; an item of a
// list is "[]". They are written down while the checker looks at specs that
// take every way through it, so that there is no second list to keep.
func Rules() map[string]Rule {
	r := recorder{rules: map[string]Rule{}, held: map[string]int{}, seen: map[string]int{}}
	first := Default()
	r.record(&first)
	topologies, balancers := r.rules["topology"].Values, r.rules["loadBalancer.kind"].Values
	r = recorder{rules: map[string]Rule{}, held: map[string]int{}, seen: map[string]int{}}
	for _, t := range topologies {
		for _, b := range balancers {
			for _, on := range []bool{true, false} {
				for depth := range 3 {
					s := Default()
					fill(reflect.ValueOf(&s).Elem(), on, depth)
					s.Topology, s.LoadBalancer.Kind = Topology(t), BalancerKind(b)
					r.record(&s)
				}
			}
		}
	}
	for field, rule := range r.rules {
		rule.Always = r.held[field] == r.seen[field]
		r.rules[field] = rule
	}
	return r.rules
}

// recorder gathers rules from the checks of several specs.
type recorder struct {
	rules map[string]Rule
	held  map[string]int // specs in which the rule was looked at
	seen  map[string]int // specs that have the field
}

func (r *recorder) record(s *Spec) {
	doc, _ := strictyaml.Decode("", nil, &struct{}{})
	c := &checker{spec: s, doc: doc, rules: map[string]Rule{}}
	c.check()
	c.suppress(false)
	for field, rule := range c.rules {
		r.rules[field] = rule
		r.held[field]++
	}
	exist(reflect.ValueOf(s).Elem(), "", func(field string) { r.seen[field]++ })
}

// index finds the numbers in a field's path.
var index = regexp.MustCompile(`\[\d+\]`)

// note writes a rule down where rules are gathered, and says whether they are.
func (c *checker) note(field string, rule Rule) bool {
	if c.rules == nil {
		return false
	}
	field = index.ReplaceAllString(field, "[]")
	if old, ok := c.rules[field]; ok {
		rule = old.and(rule)
	}
	c.rules[field] = rule
	return true
}

// and is both rules; of two forms the later one is the narrower.
func (r Rule) and(s Rule) Rule {
	if s.Form == "" {
		s.Form = r.Form
	}
	if s.Values == nil {
		s.Values = slices.Clone(r.Values)
	}
	if s.Least == 0 && s.Most == 0 {
		s.Least, s.Most = r.Least, r.Most
	}
	s.Unique, s.Required = s.Unique || r.Unique, s.Required || r.Required
	return s
}

// fill gives each list one item and makes the sections that null leaves out,
// down to a depth of them.
func fill(v reflect.Value, on bool, depth int) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), on, depth)
		}
	case reflect.Pointer:
		if depth > 0 {
			v.Set(reflect.New(v.Type().Elem()))
			fill(v.Elem(), on, depth-1)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0), on, depth)
	case reflect.Bool:
		v.SetBool(on)
	case reflect.String:
		if v.Len() == 0 {
			v.SetString("x")
		}
	default: // numbers have no way of their own
	}
}

// exist tells of each field that v has.
func exist(v reflect.Value, path string, tell func(string)) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
			if path != "" {
				name = path + "." + name
			}
			tell(name)
			exist(v.Field(i), name, tell)
		}
	case reflect.Pointer:
		if !v.IsNil() {
			exist(v.Elem(), path, tell)
		}
	case reflect.Slice:
		if v.Len() > 0 {
			tell(path + "[]")
			exist(v.Index(0), path+"[]", tell)
		}
	default: // a leaf
	}
}
