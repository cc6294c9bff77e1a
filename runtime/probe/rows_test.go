package probe

import (
	"fmt"
	"slices"
	"testing"
)

// elsewhere are the rows of what users stumble over, in handshake and path
// (A), TLS (C) and balancers and time limits (D), that no wrong nginx or
// HAProxy between a client and kas causes, and why.
var elsewhere = map[string]string{
	"A5":  "a version of kubectl asks for variants of a path; every front passes them",
	"A10": "GitLab puts its own address together; what is wrong is what it shows, not the path",
	"A11": "kas asks a GitLab under another path; only an agent with a token hears of it",
	"A12": "GitLab's page shows an address with a fault in it; nobody connects to it",
	"A13": "Omnibus forgets a port when it writes its files; the probe of the real port passes, of the written one says KAS3202",
	"C21": "kas calling GitLab: behind kas, and seen in its log only",
	"C22": "a kubeconfig without a CA: the client's side of C20, and the same failure here",
	"C23": "a cleartext URL, which the probe refuses as wrong usage (TestMisuse)",
	"C24": "Omnibus refuses a scheme before anything runs",
	"C27": "many keys to set; what comes of a wrong one is A2, https to cleartext",
	"C28": "a kas that reads TLS twice, repaired long ago",
	"C30": "kas calling kas: no client sees it",
	"D32": "a write limit inside an old kas",
	"D36": "what an old kas and kubectl 1.30 make of a 403 of the cluster",
	"D37": "a race inside an old kas after the 101",
	"D40": "Envoy's limit of a whole request; nginx and HAProxy have none",
	"D43": "Traefik's service and its regular expressions; the outcome is D44's",
	"D47": "a reload cuts at one moment; whoever comes before or after sees nothing",
	"D49": "kas calling GitLab: behind kas",
	"D50": "a proxy in the agent's own network: the probe would have to run there",
	"D51": "kas calling itself through a proxy of its environment",
	"D52": "a race inside agentk when a tunnel is picked and closed at once",
	"D53": "kas's own time to shut down",
}

// TestEveryRow holds the tests to the whole list: a row is tried, or is said
// not to be.
func TestEveryRow(t *testing.T) {
	t.Parallel()
	tried := map[string]bool{}
	for _, r := range nginxRows() {
		tried[r.of] = true
	}
	for _, list := range haproxyRows() {
		for _, r := range list {
			tried[r.of] = true
		}
	}
	delete(tried, "")
	var want []string
	for letter, between := range map[string][2]int{"A": {1, 13}, "C": {20, 30}, "D": {31, 53}} {
		for n := between[0]; n <= between[1]; n++ {
			want = append(want, fmt.Sprint(letter, n))
		}
	}
	for _, of := range want {
		if _, no := elsewhere[of]; no == tried[of] {
			t.Errorf("%s: tried %v, said not to be %v", of, tried[of], no)
		}
	}
	for of := range tried {
		if !slices.Contains(want, of) {
			t.Errorf("there is no row %s", of)
		}
	}
}
