// Package diagram draws what the files of a bundle say: names, listeners, who
// ends TLS, where each kind of traffic goes and what carries it. It gets files
// that have been read and checked, and knows neither spec nor how to listen.
// Its law: nothing is drawn that stands in no file, what leads out of the
// bundle is shown as such, and the same files give the same bytes.
package diagram

import (
	"net"
	"net/netip"
	"slices"
	"strings"

	"kasgen/internal/edgeconf"
	"kasgen/internal/haproxyconf"
	"kasgen/internal/kasconf"
	"kasgen/internal/lockfile"
	"kasgen/internal/nginxconf"
)

// Files are those of a bundle; any but Lock may be missing.
type Files struct {
	Lock    *lockfile.File
	HAProxy *haproxyconf.File
	Stream  *nginxconf.File // what is included is in its place
	Web     *nginxconf.File
	Edge    *edgeconf.File
	Kas     *kasconf.File // with defaults
}

// Names of files in a bundle.
const (
	haproxyFile = "haproxy/haproxy.cfg"
	streamFile  = "nginx/stream.conf"
	webFile     = "nginx/nginx.conf"
	edgeFile    = "edge/edge.yaml"
	kasFile     = "kas/kas-config.yaml"
)

// Graph is boxes, in the order in which traffic passes them.
type Graph struct {
	Title string
	Boxes []*Box
}

// Box is something that takes connections, or makes them.
type Box struct {
	Title string
	From  string // file that says so, or who it is
	Facts []string
	Rows  []Row

	listen []string // addresses
	layer  int
	number int // from 1, in the order of the graph
}

// Row is one way on from a box.
type Row struct {
	Name    string // host names it is for, if the box has several servers
	Match   string // which traffic
	Carries string // what goes over the connection
	Answer  string // instead of a way on
	To      []*Box

	addresses []string // until they have been found
}

// New reads the graph out of files.
func New(f Files) *Graph {
	g := &Graph{Title: "topology " + f.Lock.Topology}
	if n := f.Lock.Names; n != nil {
		g.Title += ": " + n.KAS.Name
		if n.GRPC != nil {
			g.Title += ", " + n.GRPC.Name
		}
	}
	var boxes []*Box
	if f.HAProxy != nil {
		boxes = append(boxes, haproxyBoxes(f.HAProxy)...)
	}
	if f.Stream != nil {
		boxes = append(boxes, streamBoxes(streamFile, f.Stream)...)
	}
	if f.Web != nil {
		boxes = append(boxes, streamBoxes(webFile, f.Web)...)
		boxes = append(boxes, webBoxes(f.Web)...)
	}
	if f.Edge != nil {
		boxes = append(boxes, edgeBoxes(f.Edge)...)
	}
	if f.Kas != nil {
		boxes = append(boxes, kasBoxes(f.Kas)...)
	}
	g.Boxes = append(clientBoxes(f.Lock, boxes), boxes...)
	g.resolve()
	g.order()
	return g
}

// resolve finds the boxes that rows lead to.
func (g *Graph) resolve() {
	outside := map[string]*Box{}
	var more []*Box
	for _, b := range g.Boxes {
		for i := range b.Rows {
			r := &b.Rows[i]
			for _, address := range r.addresses {
				to := g.listener(address)
				if to == nil {
					if to = outside[address]; to == nil {
						to = &Box{Title: address, From: "outside the bundle", listen: []string{address}}
						outside[address] = to
						more = append(more, to)
					}
				}
				if !slices.Contains(r.To, to) {
					r.To = append(r.To, to)
				}
			}
		}
	}
	g.Boxes = append(g.Boxes, more...)
}

// listener is the box that listens where somebody connects to.
func (g *Graph) listener(address string) *Box {
	for _, exact := range []bool{true, false} {
		for _, b := range g.Boxes {
			for _, l := range b.listen {
				if l == address || !exact && reaches(address, l) {
					return b
				}
			}
		}
	}
	return nil
}

// reaches says whether a connection to address comes to a wildcard listener.
func reaches(address, listen string) bool {
	host, port, err := net.SplitHostPort(listen)
	_, to, err2 := net.SplitHostPort(address)
	if err != nil || err2 != nil || port != to {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return host == "" || host == "*" || err == nil && ip.IsUnspecified()
}

// order sorts boxes by how far traffic has come, and numbers them.
func (g *Graph) order() {
	done := map[*Box]bool{}
	var after []*Box // each box after all that it leads to
	var visit func(b *Box)
	visit = func(b *Box) {
		done[b] = true
		for _, to := range b.ways() {
			if !done[to] {
				visit(to)
			}
		}
		after = append(after, b)
	}
	for _, b := range g.Boxes {
		if !done[b] {
			visit(b)
		}
	}
	place := map[*Box]int{}
	for i, b := range after {
		place[b] = i
	}
	for _, b := range slices.Backward(after) {
		for _, to := range b.ways() {
			if place[to] < place[b] { // not a way back
				to.layer = max(to.layer, b.layer+1)
			}
		}
	}
	last := 0
	for _, b := range g.Boxes {
		last = max(last, b.layer)
	}
	for _, b := range g.Boxes {
		if strings.HasPrefix(b.Title, "kas: ") && len(b.Rows) == 0 {
			b.layer = last // everything of kas stands together
		}
	}
	slices.SortStableFunc(g.Boxes, func(a, b *Box) int { return a.layer - b.layer })
	for i, b := range g.Boxes {
		b.number = i + 1
	}
}

// ways are the boxes that a box leads to.
func (b *Box) ways() []*Box {
	var to []*Box
	for _, r := range b.Rows {
		to = append(to, r.To...)
	}
	return to
}

// refusals are the answers that are none.
var refusals = [...]string{"closed", "refused"}

// end is how a row without a way on ends.
func (r Row) end() string {
	if slices.Contains(refusals[:], r.Answer) {
		return "is " + r.Answer
	}
	if files, ok := strings.CutPrefix(r.Answer, "files of "); ok {
		return "serves files of " + files
	}
	return "answers " + r.Answer
}

// fact adds a line, if it says something.
func (b *Box) fact(text string) {
	if text != "" {
		b.Facts = append(b.Facts, text)
	}
}

// words joins what there is with commas.
func words(list ...string) string {
	return strings.Join(slices.DeleteFunc(list, func(s string) bool { return s == "" }), ", ")
}
