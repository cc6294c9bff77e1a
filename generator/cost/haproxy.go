package cost

import (
	"slices"
	"strings"

	"kasgen/internal/haproxyconf"
)

func readHAProxy(f *facts, path string, data []byte) error {
	file, err := haproxyconf.Parse(path, data)
	if err != nil {
		return err
	}
	var form strings.Builder
	for _, s := range file.Sections {
		writeWords(&form, s.Header.Values())
		for _, l := range s.Lines {
			words := l.Values()
			writeWords(&form, words)
			f.haproxyLine(s, words)
		}
	}
	f.form = form.String()
	return nil
}

// writeWords writes words so that no other words are written alike.
func writeWords(b *strings.Builder, words []string) {
	for _, w := range words {
		b.WriteString(w)
		b.WriteByte(0)
	}
	b.WriteByte('\n')
}

// haproxyLine takes from a line what it says. Whatever else a line says, a
// reload takes it in: master and workers read the whole file again.
func (f *facts) haproxyLine(s *haproxyconf.Section, words []string) {
	switch words[0] {
	case "bind":
		if len(words) < 2 {
			return
		}
		for _, address := range strings.Split(words[1], ",") {
			f.listen = append(f.listen, listener{address: wildcard(address), owner: strings.TrimSpace(s.Keyword() + " " + s.Name())})
		}
		f.certs = append(f.certs, following(words, "crt", "ca-file", "crt-list")...)
	case "server", "default-server":
		f.carries = true
		f.certs = append(f.certs, following(words, "crt", "ca-file")...)
	case "daemon", "master-worker":
		f.fixed[words[0]] = strings.Join(words, " ")
	case "hard-stop-after":
		f.drain, f.drainBy = words[len(words)-1], words[0]
	case "use_backend", "use-server", "acl", "tcp-request", "http-request":
		f.names = append(f.names, compared(words)...)
	}
}

// following are the words behind each of the given keywords.
func following(words []string, keywords ...string) []string {
	var list []string
	for i, w := range words[:len(words)-1] {
		if slices.Contains(keywords, w) {
			list = append(list, words[i+1])
		}
	}
	return list
}

// compared are the names that a condition compares SNI or Host with.
func compared(words []string) []string {
	var list []string
	inside := false
	for i := 0; i < len(words); i++ {
		switch w := words[i]; {
		case slices.Contains([]string{"req.ssl_sni", "req_ssl_sni", "ssl_fc_sni", "hdr(host)", "req.hdr(host)"}, w):
			inside = true
		case w == "}" || w == "||" || w == "or":
			inside = false
		case inside && w == "-m":
			i++ // how it compares
		case inside && !strings.HasPrefix(w, "-"):
			list = append(list, w)
		}
	}
	return list
}

// wildcard writes every address as the programs open it.
func wildcard(address string) string {
	switch {
	case strings.HasPrefix(address, ":"):
		return "0.0.0.0" + address
	case strings.HasPrefix(address, "*:"):
		return "0.0.0.0" + address[1:]
	}
	return address
}
