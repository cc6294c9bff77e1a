package gitlab

import (
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// leeway is by how much clocks may differ: what GitLab allows.
const leeway = time.Minute

// verify checks the JWT by which GitLab knows kas. What went wrong is for the
// log: the answer is 401 in every case.
func (g *GitLab) verify(token string) error {
	if token == "" {
		return fmt.Errorf("no Gitlab-Kas-Api-Request header")
	}
	var claims jwt.RegisteredClaims
	_, err := jwt.ParseWithClaims(token, &claims,
		func(*jwt.Token) (any, error) { return g.options.Secret, nil },
		jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Alg()}),
		jwt.WithIssuer("gitlab-kas"), jwt.WithAudience("gitlab"),
		jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithLeeway(leeway),
		jwt.WithTimeFunc(g.now))
	return err
}
