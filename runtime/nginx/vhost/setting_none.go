package vhost

import (
	"kasgen/internal/nginxconf"
)

// noEffect is what changes no byte here, by reason.
func noEffect() map[string]setting {
	out := map[string]setting{}
	ignore := func(in block, least, most int, names ...string) {
		for _, n := range names {
			out[n] = setting{in, func(l *loader, _ *scope, d *nginxconf.Directive, _ bool) { l.Simple(d, least, most) }}
		}
	}
	// The sizes of hash tables, and of buffers that clients and upstreams do
	// not notice.
	ignore(inHTTP, 1, 1, "server_names_hash_bucket_size", "server_names_hash_max_size", "variables_hash_bucket_size", "variables_hash_max_size",
		"map_hash_bucket_size", "map_hash_max_size")
	ignore(everywhere, 1, 1, "types_hash_bucket_size", "types_hash_max_size", "proxy_headers_hash_bucket_size", "proxy_headers_hash_max_size")
	ignore(outside, 1, 1, "client_header_buffer_size", "connection_pool_size", "request_pool_size", "http2_chunk_size", "http2_recv_buffer_size", "http2_body_preread_size")
	ignore(everywhere, 2, 2, "proxy_buffers", "grpc_buffers", "output_buffers")
	ignore(everywhere, 1, 1, "proxy_busy_buffers_size", "postpone_output", "sendfile_max_chunk", "read_ahead", "subrequest_output_buffer_size", "client_body_in_single_buffer")
	// How the kernel is asked to send.
	ignore(everywhere|inIf, 1, 1, "sendfile", "tcp_nopush", "aio", "directio")
	ignore(everywhere, 1, 1, "tcp_nodelay", "reset_timedout_connection", "proxy_socket_keepalive", "grpc_socket_keepalive")
	// Where bodies and answers are kept meanwhile: here in the system's
	// directory of temporary files, or not at all.
	ignore(everywhere, 1, 4, "client_body_temp_path", "proxy_temp_path")
	// And those of protocols that no location here can pass to.
	ignore(everywhere, 1, 4, "fastcgi_temp_path", "uwsgi_temp_path", "scgi_temp_path")
	ignore(everywhere, 1, 1, "proxy_max_temp_file_size", "proxy_temp_file_write_size", "client_body_in_file_only")
	ignore(inHTTP, 2, -1, "proxy_cache_path") // a cache that nobody uses: cached refuses who would
	// Logs and their form are the host's.
	ignore(everywhere, 1, 2, "error_log")
	ignore(everywhere, 1, 1, "log_not_found", "log_subrequest", "rewrite_log", "open_log_file_cache", "uninitialized_variable_warn")
	// TLS sessions are crypto/tls's: tickets, and no store. Suites have its
	// order of preference, and groups for DHE are of suites that it has not.
	ignore(outside, 1, 2, "ssl_session_cache")
	ignore(outside, 1, 1, "ssl_session_timeout", "ssl_session_tickets", "ssl_prefer_server_ciphers", "ssl_dhparam", "ssl_buffer_size")
	ignore(everywhere, 1, 1, "proxy_ssl_session_reuse", "grpc_ssl_session_reuse")
	// Of modules that GitLab builds in: one counts, and one hides the header
	// Server, which nobody asks it to where it is off.
	ignore(inHTTP, 0, 1, "vhost_traffic_status_zone")
	out["hide_server_tokens"] = offOnly("the embedded runtime has GitLab's module for headers not")
	// Buffers of gzip, and what was for browsers of another age.
	ignore(everywhere, 2, 2, "gzip_buffers")
	ignore(everywhere, 1, 1, "msie_padding", "msie_refresh")
	return out
}
