package runtime

import (
	"fmt"
	"slices"
	"strings"

	"kasgen/internal/diag"
	"kasgen/internal/lockfile"
	"kasgen/internal/nginxconf"
	"kasgen/runtime/nginx"
)

// codeLeft is of what of a machine's nginx is not run here.
const codeLeft = "KAS3102"

// ours reads a machine's nginx.conf for kas's vhosts alone: GitLab's own need
// GitLab behind them, and modules that no other nginx has. Which ones are left
// out is a warning each.
func (b *Bundle) ours(path string, data []byte, source nginxconf.Source) (*nginx.Config, error) {
	if b.Lock == nil {
		return nil, nil // which is told by itself
	}
	parsed, err := nginxconf.Parse(path, data)
	if err != nil {
		return nil, err
	}
	parsed, found := parsed.Expand(source)
	if err := found.Err(); err != nil {
		return nil, err
	}
	parsed, left := nginx.Serving(parsed, served(b.Lock))
	for _, d := range left {
		b.left.Add(diag.Finding{Code: codeLeft, Severity: diag.Warning, Pos: d.Name.Pos,
			What: fmt.Sprintf("the vhost for %s is not run here", strings.Join(serverNames(d), " ")),
			Why:  "it is GitLab's, not kas's: what lies behind it is not here",
			Fix:  "nothing: GitLab's own nginx goes on with it"})
	}
	if !nginx.Serves(parsed) {
		return nil, nil // all of nginx is GitLab's
	}
	return nginx.LoadFile(parsed)
}

// Left is what of a machine's files is not run: vhosts that are not kas's.
func (b *Bundle) Left() diag.Findings { return slices.Clone(b.left) }

// served are the names of a topology.
func served(lock *lockfile.File) []string {
	if lock.Names == nil {
		return nil
	}
	all := []string{lock.Names.KAS.Name}
	if lock.Names.GRPC != nil {
		all = append(all, lock.Names.GRPC.Name)
	}
	return all
}

// serverNames are a server's, for a sentence.
func serverNames(server *nginxconf.Directive) []string {
	var all []string
	for _, d := range server.Block.Directives {
		if d.Name.Value == "server_name" {
			all = append(all, d.Values()...)
		}
	}
	if len(all) == 0 {
		return []string{"any name"}
	}
	return all
}
