package topology

import (
	"kasgen/generator/spec"
	"kasgen/internal/kasconf"
	"kasgen/internal/lockfile"
)

// development lists the files that may be made when they are missing.
func development(s *spec.Spec, version kasconf.Version) []lockfile.Development {
	list := []lockfile.Development{}
	secret := func(path string, kind lockfile.DevelopmentKind) {
		if below(s.StateDir, path) {
			list = append(list, lockfile.Development{Path: path, Kind: kind, Names: []string{}})
		}
	}
	if s.TLS.Source == spec.TLSDevelopmentCA {
		list = append(list,
			lockfile.Development{Path: s.StateDir + "/tls/ca.crt", Kind: lockfile.CA, Names: []string{}},
			lockfile.Development{Path: s.TLS.CertificateFile, Kind: lockfile.Certificate, Names: hosts(s)})
	}
	if s.KAS.Kind != spec.KASEmbedded {
		return list // GitLab has made its own, and would not know others
	}
	secret(s.KAS.Secrets.GitLab, lockfile.Secret)
	secret(s.KAS.Secrets.API, lockfile.Secret)
	secret(s.KAS.Secrets.PrivateAPI, lockfile.Secret)
	if version.Has(kasconf.WebsocketTokenKey) {
		secret(s.KAS.Secrets.WebsocketToken, lockfile.WebsocketSecret)
	}
	return list
}

func below(dir, path string) bool {
	return len(path) > len(dir)+1 && path[:len(dir)+1] == dir+"/"
}
