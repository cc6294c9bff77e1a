package omnibus

// how is what becomes of what a key holds already.
type how int

const (
	set   how = iota // it is replaced; a later line of gitlab.rb replaces ours
	text             // a text, below what is there
	list             // entries, after those that are there
	least            // a number, unless a greater one is there
	off              // value is a host: the key is false where the vhost has that host
)

// setting is one key of gitlab.rb.
type setting struct {
	// key is the path: the name of a method of gitlab.rb, and keys of what it
	// returns, if there are any.
	key   []string
	value any // a string, a bool, an int or a []string
	how   how
	why   string // a line for people
}

// settings are keys in the order in which they are written.
type settings struct {
	pkg  Package
	list []setting
}

func (s *settings) set(why string, value any, key ...string) {
	s.list = append(s.list, setting{key, value, set, why})
}

func (s *settings) append(why string, how how, value any, key ...string) {
	s.list = append(s.list, setting{key, value, how, why})
}

// kas is a key of kas's own vhost.
func (s *settings) kas(key string) []string {
	if s.pkg.Nested {
		return []string{"gitlab_kas", "nginx", key}
	}
	return []string{"gitlab_kas_nginx", key}
}

// gitlab is a key of GitLab's vhost.
func (s *settings) gitlab(key string) []string {
	if s.pkg.Nested {
		return []string{"gitlab_rails", "nginx", key}
	}
	return []string{"nginx", key}
}
