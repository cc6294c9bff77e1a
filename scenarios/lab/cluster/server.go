package cluster

import (
	"crypto/subtle"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kasgen/scenarios/lab/cluster/pod"
)

// apiServer is the handler behind the API server's listener.
type apiServer struct {
	log       *slog.Logger
	older     bool // than 1.30
	token     string
	onRequest func(Observed)
	pod       *pod.Pod
	node      *node
	store     *store
	codecs    codecs
	transport *http.Transport // to the node
	upgraded  atomic.Int64
	handlers  sync.WaitGroup
	started   time.Time
}

func newAPIServer(o Options, token string, p *pod.Pod, n *node, address string) (*apiServer, error) {
	codecs, err := newCodecs()
	if err != nil {
		return nil, err
	}
	a := &apiServer{
		log: o.Log, older: o.Older, token: token, onRequest: o.OnRequest, pod: p, node: n,
		store: newStore(), codecs: codecs, started: time.Now(),
		transport: &http.Transport{Proxy: nil, DialContext: (&net.Dialer{}).DialContext, DisableKeepAlives: true},
	}
	if a.onRequest == nil {
		a.onRequest = func(Observed) {}
	}
	for _, object := range firstObjects(metav1.NewTime(a.started), address) {
		if _, err := a.store.create(object); err != nil {
			return nil, err
		}
	}
	return a, nil
}

// wait waits for requests: net/http forgets those that took their connection.
func (a *apiServer) wait() {
	a.handlers.Wait()
	a.transport.CloseIdleConnections()
}

func (a *apiServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.handlers.Add(1)
	defer a.handlers.Done()
	asked := r.Clone(r.Context()) // the handlers change the request
	u, r := newUpgradable(w, r, &a.upgraded, func(status int, h http.Header) {
		o := observed(asked, status, h)
		a.log.Debug("request to the cluster", "method", o.Method, "path", o.Path, "status", o.Status,
			"protocol", o.Protocol, "subprotocol", o.Subprotocol, "user_agent", o.UserAgent, "impersonate", o.Impersonate.User)
		a.onRequest(o)
	})
	defer u.end()

	if !a.authenticated(r) {
		writeStatus(u, errUnauthorized())
		return
	}
	as := impersonated(r.Header)
	if as.User == "" && !as.empty() {
		writeStatus(u, errImpersonation())
		return
	}
	dropCredentials(r.Header)
	a.route(u, r, as)
}

func (a *apiServer) authenticated(r *http.Request) bool {
	scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	return ok && strings.EqualFold(scheme, "bearer") &&
		subtle.ConstantTimeCompare([]byte(strings.TrimSpace(token)), []byte(a.token)) == 1
}
