// Package vhost reads nginx's http{} block and serves it: virtual servers,
// locations, rewriting, proxy_pass and grpc_pass. It owns what these directives
// mean and in which order they act; HTTP itself is runtime/httpengine's. Its
// law: a request meets the same server and location as in nginx 1.22, and what
// goes to the upstream and back to the client is what nginx would send, its
// limits and their defaults included; a directive that is not done is refused
// when the file is read.
//
// Reading (loader) makes an immutable Config of servers and locations, whose
// settings are inherited then. Serving goes through nginx's phases: request.go
// has them.
package vhost

// version is the nginx that is followed, and that answers say they are from
// where server_tokens is on.
const version = "1.22.1"
