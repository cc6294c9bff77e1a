package kas

import (
	"context"
	"fmt"
	"net"
	"strings"

	"github.com/golang-jwt/jwt/v5"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"kasgen/runtime/accept"
	"kasgen/runtime/gitlab"
	"kasgen/runtime/host"
	"kasgen/runtime/sniff"
)

// apiServer is a gRPC listener that knows its callers by a JWT.
type apiServer struct {
	grpc  *grpc.Server
	queue *sniff.Queue
}

// openAPIs opens the listener for Rails and the one for other replicas. They
// have no methods yet: whoever has the secret is answered Unimplemented, which
// Rails takes for "not known", and anybody else Unauthenticated.
func (s *Server) openAPIs(ctx context.Context, h *host.Host) error {
	if a := s.file.API; a != nil && a.Listen != nil {
		l := a.Listen
		if err := s.openAPI(ctx, h, "api.listen", l.Network, l.Address, l.AuthenticationSecretFile, l.CertificateFile, l.KeyFile); err != nil {
			return err
		}
	}
	if p := s.file.PrivateAPI; p != nil && p.Listen != nil {
		l := p.Listen
		return s.openAPI(ctx, h, "private_api.listen", l.Network, l.Address, l.AuthenticationSecretFile, l.CertificateFile, l.KeyFile)
	}
	return nil
}

func (s *Server) openAPI(ctx context.Context, h *host.Host, section, protocol, address, secretFile, certFile, keyFile string) error {
	secret, err := gitlab.ReadSecret(h, secretFile)
	if err != nil {
		return fmt.Errorf("kas: %s.authentication_secret_file: %w", section, err)
	}
	o, err := options(h, certFile, keyFile, "h2")
	if err != nil {
		return fmt.Errorf("kas: %s: %w", section, err)
	}
	ln, err := h.Listen(ctx, network(protocol), address)
	if err != nil {
		return listenError(section, address, err)
	}
	s.addrs[address] = ln.Addr()
	a := apiServer{queue: sniff.NewQueue(ln.Addr()), grpc: grpc.NewServer(grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
		if err := verify(stream.Context(), secret); err != nil {
			return status.Error(codes.Unauthenticated, "the JWT is not valid")
		}
		method, _ := grpc.MethodFromServerStream(stream)
		return status.Error(codes.Unimplemented, "the embedded kas does not have "+method)
	}))}
	s.apis = append(s.apis, a)
	s.accepts = append(s.accepts, accept.New(ln, o, func(_ sniff.Protocol, c net.Conn) { a.queue.Put(c) }))
	return nil
}

// verify holds a call to its JWT: signed with the secret, meant for kas.
func verify(ctx context.Context, secret []byte) error {
	md, _ := metadata.FromIncomingContext(ctx)
	values := md.Get("authorization")
	if len(values) != 1 {
		return status.Error(codes.Unauthenticated, "one authorization header is needed")
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	if !strings.EqualFold(scheme, "bearer") {
		return status.Error(codes.Unauthenticated, "the authorization header is not of the form Bearer JWT")
	}
	_, err := jwt.Parse(token, func(*jwt.Token) (any, error) { return secret, nil },
		jwt.WithValidMethods([]string{"HS256", "HS384", "HS512"}), jwt.WithAudience("gitlab-kas"), jwt.WithExpirationRequired())
	return err
}
