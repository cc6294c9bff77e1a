package cost

import (
	"path"
	"strings"
)

// facts is what one file says, as far as a change of it costs something.
type facts struct {
	program string
	text    string // the file as it is written
	form    string // the same without comments and layout: equal forms mean the same
	listen  []listener
	names   []string // host names that it serves
	certs   []string // certificates and keys that it loads
	// fixed is what the program takes in only when it is started.
	fixed map[string]string
	// carries says that agents or streams pass through the program.
	carries bool
	// drain is how long streams live on after a reload, and drainBy the
	// directive that says so; empty: as long as they want to.
	drain, drainBy string
	// broken says that the file cannot be read, and unread why, and what else
	// of it is not known.
	broken bool
	unread []string
}

// listener is an address that a file has opened.
type listener struct {
	address string
	owner   string // the section, server or field that opens it
}

// The programs.
const (
	programHAProxy = "HAProxy"
	programNginx   = "nginx"
	programEdge    = "edge"
	programKAS     = "kas"
	programCerts   = "certificates"
	programGuest   = "GitLab's nginx" // which has other files, too
	programKeys    = "gitlab-ctl reconfigure"
	programOther   = "other"
)

// reader reads one kind of file.
type reader struct {
	program string
	is      func(path string) bool
	read    func(f *facts, path string, data []byte) error
}

// readers lists every kind of file.
func readers() []reader {
	below := func(folder, extension string) func(string) bool {
		return func(p string) bool { return strings.HasPrefix(p, folder+"/") && path.Ext(p) == extension }
	}
	return []reader{
		{programHAProxy, below("haproxy", ".cfg"), readHAProxy},
		{programNginx, below("nginx", ".conf"), readNginx},
		{programEdge, below("edge", ".yaml"), readEdge},
		{programKAS, below("kas", ".yaml"), readKAS},
		{programCerts, below("certs", ".yaml"), readCerts},
		{programGuest, below("vhosts", ".conf"), readNginx},
		{programKeys, func(p string) bool { return p == "kasgen.rb" }, readKeys},
	}
}

// readAll reads every file but the manifest, which no program reads.
func readAll(files map[string][]byte) map[string]*facts {
	all := map[string]*facts{}
	for p, data := range files {
		if p != manifest {
			all[p] = read(p, data)
		}
	}
	return all
}

func read(p string, data []byte) *facts {
	f := &facts{program: programOther, text: string(data), form: string(data), fixed: map[string]string{}}
	for _, r := range readers() {
		if !r.is(p) {
			continue
		}
		f.program = r.program
		if err := r.read(f, p, data); err != nil {
			first, _, _ := strings.Cut(err.Error(), "\n")
			f.broken, f.carries = true, true // who knows
			f.unread = append(f.unread, first)
		}
	}
	return f
}

// onlyAtStart says what differs that a reload does not take in.
func onlyAtStart(old, fresh *facts) []string {
	var why []string
	for _, key := range union(old.fixed, fresh.fixed) {
		if old.fixed[key] != fresh.fixed[key] {
			why = append(why, key+" takes effect only when "+fresh.program+" is started")
		}
	}
	if fresh.program == programHAProxy {
		return why // it opens its listeners with SO_REUSEPORT
	}
	// nginx and the edge open new listeners before they close old ones, and the
	// kernel refuses 0.0.0.0:443 beside 127.0.0.1:443.
	for _, a := range old.listen {
		for _, b := range fresh.listen {
			if !opens(fresh, a.address) && !opens(old, b.address) && overlap(a.address, b.address) {
				why = append(why, b.address+" cannot be opened while "+a.address+" is open, and a reload would open it first")
			}
		}
	}
	return why
}

func opens(f *facts, address string) bool {
	for _, l := range f.listen {
		if l.address == address {
			return true
		}
	}
	return false
}
