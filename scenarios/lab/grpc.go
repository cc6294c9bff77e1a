package lab

import (
	"context"
	"crypto/x509"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
)

// GRPC is a connection to kas as an agent by gRPC makes it, with the agent's
// token on every call: for calls that no agent makes as they are wanted.
func (l *Lab) GRPC(a Agent) (*grpc.ClientConn, error) {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(l.trusted)
	return grpc.NewClient("passthrough:"+l.names.of(grpcs).hostport(),
		grpc.WithTransportCredentials(credentials.NewClientTLSFromCert(roots, "")), grpc.WithPerRPCCredentials(bearer(a.token)),
		grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) { return l.dial(ctx, "tcp", address) }))
}

// bearer puts a token on every call.
type bearer string

func (b bearer) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer " + string(b)}, nil
}

func (bearer) RequireTransportSecurity() bool { return true }
