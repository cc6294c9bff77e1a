package kas

import (
	"context"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"kasgen/internal/kasconf"
	"kasgen/runtime/accept"
	"kasgen/runtime/gitlab"
	"kasgen/runtime/host"
	"kasgen/runtime/kas/agents"
	"kasgen/runtime/kas/rails"
	"kasgen/runtime/sniff"
)

// apiServer is a gRPC listener that knows its callers by a JWT.
type apiServer struct {
	grpc  *grpc.Server
	queue *sniff.Queue
}

// openAPIs opens the listener for Rails and the one for other replicas. The
// latter has no methods yet. Whoever has the secret is told of a method that is
// not there that it is Unimplemented, which Rails takes for "not known"; anybody
// else is Unauthenticated, whatever the method.
func (s *Server) openAPIs(ctx context.Context, h *host.Host, version string) error {
	if a := s.file.API; a != nil && a.Listen != nil {
		if err := s.openAPI(ctx, h, "api.listen", a.Listen, rails.New(version, s.shared.connected).RegisterOn); err != nil {
			return err
		}
	}
	if p := s.file.PrivateAPI; p != nil && p.Listen != nil {
		return s.openAPI(ctx, h, "private_api.listen", &p.Listen.APIListen, func(grpc.ServiceRegistrar) {})
	}
	return nil
}

func (s *Server) openAPI(ctx context.Context, h *host.Host, section string, l *kasconf.APIListen, register func(grpc.ServiceRegistrar)) error {
	secret, err := gitlab.ReadSecret(h, l.AuthenticationSecretFile)
	if err != nil {
		return fmt.Errorf("kas: %s.authentication_secret_file: %w", section, err)
	}
	o, err := options(h, l.CertificateFile, l.KeyFile, "h2")
	if err != nil {
		return fmt.Errorf("kas: %s: %w", section, err)
	}
	ln, err := h.Listen(ctx, network(l.Network), l.Address)
	if err != nil {
		return listenError(section, l.Address, err)
	}
	s.addrs[l.Address] = ln.Addr()
	a := apiServer{queue: sniff.NewQueue(ln.Addr()), grpc: newAPIServer(secret, time.Duration(*l.MaxConnectionAge))}
	register(a.grpc)
	s.apis = append(s.apis, a)
	s.accept(accept.New(ln, o, func(_ sniff.Protocol, c net.Conn) { a.queue.Put(c) }), section)
	return nil
}

// newAPIServer is a gRPC server for callers that have the secret; m is
// max_connection_age.
func newAPIServer(secret []byte, m time.Duration) *grpc.Server {
	known := func(ctx context.Context) error {
		if verify(ctx, secret) != nil {
			return status.Error(codes.Unauthenticated, "the JWT is not valid")
		}
		return nil
	}
	return grpc.NewServer(
		grpc.ConnectionTimeout(handshakeLimit),
		grpc.KeepaliveParams(keepalive.ServerParameters{
			MaxConnectionIdle:     agents.IdleConnection,
			MaxConnectionAge:      m / 5, // as for agents
			MaxConnectionAgeGrace: m * 65 / 100,
		}),
		grpc.UnaryInterceptor(func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
			if err := known(ctx); err != nil {
				return nil, err
			}
			return next(ctx, req)
		}),
		// Methods that are not there come by here, too.
		grpc.StreamInterceptor(func(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
			if err := known(stream.Context()); err != nil {
				return err
			}
			return next(srv, stream)
		}),
		grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
			method, _ := grpc.MethodFromServerStream(stream)
			return status.Error(codes.Unimplemented, "the embedded kas does not have "+method)
		}),
	)
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
