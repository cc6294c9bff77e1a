package charttest

// Parts of specs and flags.
const (
	ARN         = "arn:aws:acm:eu-west-1:1:certificate/x"
	ACME        = "tls: {source: acme, acme: {email: a@example.com, cache: {secret: {name: kas-acme}}}}\n"
	BalancerTLS = "loadBalancer: {kind: external-tcp, tls: terminate, proxyProtocol: v2}\ntls: {source: balancer}\n"
)

// Case is a topology beside a version of GitLab's chart.
type Case struct {
	Name, Version, Topology, Spec string
	Args                          []string // of extras and verify
	Warn                          []string // codes
}

// Cases has every topology, provider and option.
func Cases() []Case {
	issuer := []string{"--issuer=letsencrypt"}
	with := func(more ...string) []string { return append(append([]string{}, issuer...), more...) }
	kasTLS := "--kas-tls-secret=kas-tls"
	return []Case{
		{Name: "A-generic", Version: "9.9", Topology: "A", Args: issuer},
		{Name: "A-generic-secret", Version: "9.1", Topology: "A", Args: []string{"--tls-secret=mine", "--source-range=192.0.2.0/24", "--image=registry.example.com:5000/kasgen:1.2.3"}},
		{Name: "A-generic-proxy", Version: "9.9", Topology: "A", Spec: "loadBalancer: {kind: external-tcp, proxyProtocol: v1}\n", Args: issuer},
		{Name: "A-acme", Version: "10.4", Topology: "A", Spec: ACME},
		{Name: "A-gke", Version: "9.9", Topology: "A", Args: with("--provider=gke")},
		{Name: "A-aws", Version: "9.9", Topology: "A", Spec: "loadBalancer: {kind: external-tcp, proxyProtocol: v2}\n", Args: with("--provider=aws")},
		{Name: "A-aws-tls", Version: "9.9", Topology: "A", Spec: BalancerTLS, Args: []string{"--provider=aws", "--certificate-arn=" + ARN}, Warn: []string{"KAS1517"}},
		{Name: "A-azure", Version: "9.9", Topology: "A", Args: with("--provider=azure")},
		{Name: "A-metallb", Version: "9.9", Topology: "A", Args: with("--provider=metallb")},
		{Name: "A-passthrough-gateway", Version: "10.4", Topology: "A", Args: with("--passthrough-gateway", "--gateway=gitlab-gw", "--gateway-section=kas-web")},
		{Name: "A-grpc-only", Version: "9.9", Topology: "A", Spec: "agents: {websocket: remove}\n", Args: issuer},
		{Name: "B-nginx", Version: "9.9", Topology: "B", Args: issuer},
		{Name: "B-nginx-grpc-only", Version: "9.9", Topology: "B", Spec: "agents: {websocket: remove}\n", Args: issuer},
		{Name: "B-gateway", Version: "10.4", Topology: "B", Args: issuer},
		{Name: "B-gateway-grpc-only", Version: "10.4", Topology: "B", Spec: "agents: {websocket: remove}\n", Args: issuer},
		{Name: "B-gke-gateway", Version: "9.9", Topology: "B", Args: with("--provider=gke", "--routes=gke-gateway", "--certificate-map=m")},
		{Name: "B-alb", Version: "9.9", Topology: "B", Spec: "loadBalancer: {kind: external-tcp, proxyProtocol: v2}\n", Args: with("--provider=aws", "--routes=alb", "--certificate-arn="+ARN), Warn: []string{"KAS6115"}},
		{Name: "B-aws-tls", Version: "9.9", Topology: "B", Spec: BalancerTLS + "grpcBalancer: {kind: external-http2}\n", Args: []string{"--provider=aws", "--routes=alb", "--certificate-arn=" + ARN}, Warn: []string{"KAS1517", "KAS1707", "KAS6115"}},
		{Name: "D-nginx", Version: "9.1", Topology: "D", Args: issuer},
		{Name: "D-nginx-kas-tls", Version: "9.9", Topology: "D", Args: with(kasTLS)},
		{Name: "D-nginx-grpc-only", Version: "9.9", Topology: "D", Spec: "agents: {websocket: remove}\n", Args: issuer},
		{Name: "D-gateway", Version: "10.4", Topology: "D", Args: with("--gateway=shared", "--gateway-namespace=infra", "--gateway-section=kas-grpc")},
		{Name: "D-gke-ingress", Version: "9.9", Topology: "D", Args: []string{"--routes=gke-ingress", kasTLS}},
		{Name: "D-gke-ingress-grpc-only", Version: "9.9", Topology: "D", Spec: "agents: {websocket: remove}\n", Args: []string{"--routes=gke-ingress", kasTLS}},
		{Name: "D-gke-gateway", Version: "10.4", Topology: "D", Args: []string{"--routes=gke-gateway", "--certificate-map=m"}},
		{Name: "D-alb", Version: "9.9", Topology: "D", Args: []string{"--routes=alb", "--certificate-arn=" + ARN}, Warn: []string{"KAS6115"}},
		{Name: "D-alb-grpc-only", Version: "9.9", Topology: "D", Spec: "agents: {websocket: remove}\n", Args: []string{"--routes=alb", "--certificate-arn=" + ARN}, Warn: []string{"KAS6115"}},
		{Name: "packaged-alb", Version: "9.9", Topology: "packaged", Args: []string{"--routes=alb", "--certificate-arn=" + ARN}, Warn: []string{"KAS6114"}},
	}
}

// KasgenYAML is the case's spec.
func (c Case) KasgenYAML() string {
	return "apiVersion: kasgen/v1\ntopology: " + c.Topology +
		"\ngitlab: {url: \"https://gitlab.example.com\"}\nnames: {kas: kas.gitlab.example.com}\n" + c.Spec
}
