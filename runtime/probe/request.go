package probe

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

const (
	needsToken = "needs --token-file"
	needsPod   = "needs --token-file and --pod"
)

// checkRequest asks the cluster something with credentials.
func (e *endpoint) checkRequest(ctx context.Context) Check {
	if e.s.o.Token == "" {
		return skipped(needsToken)
	}
	if !e.trusted {
		return skipped("no token goes over a connection whose certificate does not hold")
	}
	path := e.proxy + "version"
	a, err := e.exchange(ctx, request{method: "GET", path: path, token: true})
	what := "GET " + path
	if err != nil {
		return failed(codeNotKAS, what+" gets no answer: "+err.Error(), "kubectl gets none either", "look at the front's log and kas's")
	}
	if a.status == http.StatusOK && strings.Contains(a.body, "gitVersion") {
		return passed("the cluster answers %s", what)
	}
	return denied(what, a)
}

// denied explains what kas or the cluster says to a request with credentials.
func denied(what string, a *answer) Check {
	observed := what + " is answered " + a.String()
	s, kube := a.kube()
	switch {
	case a.wantsTLS():
		return agentToTLS(what, a)
	case kube && a.status == http.StatusUnauthorized && strings.Contains(s.Message, "credentials"):
		return failed(codeDenied, observed, "kas got no credentials: a proxy on the way takes the Authorization header away", "pass it (no proxy_set_header Authorization, no login of the proxy's own on this path)").because(causeAuthorization)
	case kube && a.status == http.StatusUnauthorized:
		return failed(codeDenied, observed, "GitLab does not know the token, or it has expired", "take the token of a kubeconfig: ci:AGENT:TOKEN in a CI job, pat:AGENT:TOKEN for a person")
	case kube && a.status == http.StatusForbidden:
		return failed(codeDenied, observed, "GitLab or the cluster does not allow it to this token", "allow the project or group in the agent's configuration (ci_access, user_access), and the user in the cluster's RBAC")
	case kube && a.status == http.StatusBadGateway:
		return failed(codeDenied, observed, "kas found no agent within 20 s", "start the agent, and look at its log")
	case a.status == http.StatusNotFound && (!kube || s.Message == "" || strings.Contains(s.Message, "could not find the requested resource")):
		return failed(codePrefix, observed, "the path arrives at the cluster with a prefix: the front does not take it away, and kas does not know it",
			"have the front take the prefix away (a path behind proxy_pass, as in `proxy_pass http://127.0.0.1:8154/;`), or set kubernetes_api.url_path_prefix to it")
	case kube && a.status == http.StatusNotFound:
		return failed(codeDenied, observed, "there is no such object", "correct --pod")
	case kube:
		return failed(codeDenied, observed, "the path is fine as far as kas; kas, GitLab or the cluster does not do it", "look at kas's log")
	case a.html() && a.status >= 400 && a.status < 500:
		return replaced(what, a)
	}
	if c, ok := gateway(what, a); ok {
		return c
	}
	return notKAS(what, a)
}

// checkStreaming watches something that is there: its first event comes at
// once, or else when the watch has ended.
func (e *endpoint) checkStreaming(ctx context.Context) Check {
	if e.s.o.Token == "" || !e.trusted {
		return skipped(needsToken)
	}
	path := fmt.Sprintf("%sapi/v1/namespaces?watch=true&resourceVersion=0&timeoutSeconds=%d", e.proxy, e.s.o.Watch/time.Second)
	if e.s.o.Pod != "" {
		path = fmt.Sprintf("%sapi/v1/namespaces/%s/pods?watch=true&resourceVersion=0&fieldSelector=metadata.name%%3D%s&timeoutSeconds=%d",
			e.proxy, e.s.o.Namespace, e.s.o.Pod, e.s.o.Watch/time.Second)
	}
	ctx, cancel := context.WithTimeout(ctx, e.s.o.Watch+e.s.o.Timeout)
	defer cancel()
	d := e.plainly()
	d.verify = true
	c, err := e.dial(ctx, d)
	if err != nil {
		return failed(codeHTTP, err.Error(), "kubectl cannot watch", "look at the front's log")
	}
	defer closeQuietly(c)
	stop := context.AfterFunc(ctx, func() { closeQuietly(c) })
	defer stop()
	began := time.Now()
	if _, err := c.Write(e.wire(request{method: "GET", path: path, token: true})); err != nil {
		return failed(codeHTTP, ended(ctx, err).Error(), "kubectl cannot watch", "look at the front's log")
	}
	a, resp, err := readHead(bufio.NewReader(c), http.MethodGet)
	if err != nil {
		return failed(codeBuffering, "a watch gets no answer: "+ended(ctx, err).Error(), "kubectl get -w and logs -f show nothing", "switch buffering off on the way")
	}
	body := bufio.NewReader(resp.Body)
	line, err := body.ReadString('\n')
	took := time.Since(began)
	if a.status != http.StatusOK {
		a.body = line
		if s, ok := a.kube(); ok && a.status == http.StatusForbidden {
			return skipped("the token may not watch: %s; give a pod that it may see with --pod", s.Message)
		}
		return denied("a watch", a)
	}
	switch {
	case err == nil && took < e.s.o.Watch/2:
		return passed("the first event of a watch comes before its end")
	case took < e.s.o.Watch/2:
		return skipped("the watch ended without an event")
	default:
		return failed(codeBuffering, fmt.Sprintf("the first event of a watch of %v comes at its end", e.s.o.Watch), "kubectl get -w, logs -f, helm --wait and controllers see nothing until the answer is whole or a buffer is full",
			"switch buffering off on the way (proxy_buffering off in nginx)")
	}
}

// checkBody sends a body of 3 MiB, which fronts refuse before kas sees it.
func (e *endpoint) checkBody(ctx context.Context) Check {
	token := e.s.o.Token != "" && e.trusted
	const review = "apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
	// As large as the largest that a cluster takes.
	head := []byte(`{"kind":"SelfSubjectAccessReview","apiVersion":"authorization.k8s.io/v1","spec":{"nonResourceAttributes":{"path":"/version","verb":"get"}}}`)
	body := append(head, bytes.Repeat([]byte(" "), bodySize-len(head))...)
	a, err := e.exchange(ctx, request{method: http.MethodPost, path: e.proxy + review, body: body, token: token,
		// Who is refused without credentials is answered before the body, and
		// fronts make a 502 of the connection that then ends in the midst of it.
		late: !token})
	what := fmt.Sprintf("a body of %d MiB", bodySize>>20)
	if err != nil {
		return failed(codeBody, what+" gets no answer: "+err.Error(), "kubectl apply and helm send as much", "look at limits of bodies on the way, and at the front's log")
	}
	s, kube := a.kube()
	switch {
	case a.status == http.StatusRequestEntityTooLarge && !kube:
		return failed(codeBody, what+" is answered "+a.String(), "kubectl apply and helm report 413 for anything larger than the front's limit, which is 1 MiB in nginx unless told otherwise",
			"set client_max_body_size 0 in nginx, proxy-body-size \"0\" in ingress-nginx")
	case kube:
		if token && a.status != http.StatusUnauthorized && a.status < 500 {
			return passed("%s reaches the cluster: %d %s", what, a.status, s.Message)
		}
		return passed("a request with %s reaches kas: %d %s", what, a.status, s.Message)
	case a.status == http.StatusCreated:
		return passed("%s reaches the cluster", what)
	case token && a.wantsTLS():
		return agentToTLS(what, a)
	}
	if c, ok := gateway(what, a); ok {
		return c
	}
	return notKAS(what, a)
}

// execPath is exec in the pod that was given.
func (e *endpoint) execPath(query string) string {
	return fmt.Sprintf("%sapi/v1/namespaces/%s/pods/%s/exec?%s", e.proxy, e.s.o.Namespace, e.s.o.Pod, query)
}

// spdyPing is a control frame that every SPDY server answers with itself.
const spdyPing = "\x80\x03\x00\x06\x00\x00\x00\x04\x00\x00\x00\x01"

// checkExec runs `true` in the pod.
func (e *endpoint) checkExec(u upgrading) checker {
	return func(ctx context.Context) Check {
		switch {
		case e.s.o.Token == "" || !e.trusted:
			return skipped(needsToken)
		case e.s.o.Pod == "":
			return skipped("needs --pod NAMESPACE/NAME")
		}
		what := "exec over " + u.name
		a, s, err := e.open(ctx, request{method: u.method, path: e.execPath("command=true&stdout=true&stderr=true"), header: u.header(u.exec), token: true})
		if err != nil {
			return failed(codeUpgrade, what+" gets no answer: "+err.Error(), "kubectl hangs or breaks", "look at the front's log")
		}
		if s == nil {
			if c, ok := u.refused(what, a); ok && a.status == http.StatusBadRequest && !a.wantsTLS() {
				return c
			}
			return denied(what, a)
		}
		defer s.Close()
		if err := s.SetDeadline(time.Now().Add(e.s.o.Timeout)); err != nil {
			return failed(codeUpgrade, err.Error(), "the connection broke", "try again")
		}
		if err := u.answers(s); err != nil {
			return failed(codeUpgrade, what+" is granted, and then nothing comes: "+err.Error(), "kubectl hangs after the 101", "look at what the front does with upgraded connections")
		}
		return passed("101, and bytes come through it")
	}
}

// answers waits for the first bytes of an upgraded stream.
func (u upgrading) answers(s *stream) error {
	if u.name == webSocketUpgrade.name {
		op, payload, err := readFrame(s)
		if err == nil && op == opClose {
			err = errors.New("it is closed: " + closeReason(payload))
		}
		return err
	}
	_, err := s.Write([]byte(spdyPing))
	if err == nil {
		_, err = s.Read(make([]byte, 1))
	}
	return err
}
