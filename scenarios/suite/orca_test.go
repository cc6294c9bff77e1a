package suite

import (
	"context"
	"crypto/x509"
	"strings"
	"testing"
	"time"

	orcadata "github.com/cncf/xds/go/xds/data/orca/v3"
	orcapb "github.com/cncf/xds/go/xds/service/orca/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/orca"
	"google.golang.org/grpc/status"
)

// orcaOOB is the case whose method is called by the load balancing policy, past
// every interceptor, so that nobody can rename it: it passes where a front does
// not look at the path, within a WebSocket always.
const orcaOOB = "orca_oob"

// routed says whether a topology takes gRPC by its path: all do that have no TCP
// balancer for it.
func routed(topology string) bool { return topology != "A" }

// leftOut are the topologies in which orcaOOB does not run by grpcs.
func leftOut() []string {
	var left []string
	for _, topology := range topologies() {
		if routed(topology) {
			left = append(left, topology)
		}
	}
	return left
}

// loadReports sends what has been recorded, as grpc-go's own service does each 30
// seconds at the least, which is as long as a case may take.
type loadReports struct {
	orcapb.UnimplementedOpenRcaServiceServer
	of orca.ServerMetricsRecorder
}

func (l *loadReports) StreamCoreMetrics(r *orcapb.OrcaLoadReportRequest, stream orcapb.OpenRcaService_StreamCoreMetricsServer) error {
	interval := time.NewTicker(max(r.GetReportInterval().AsDuration(), 100*time.Millisecond))
	defer interval.Stop()
	for {
		now := l.of.(orca.ServerMetricsProvider).ServerMetrics()
		if err := stream.Send(&orcadata.OrcaLoadReport{CpuUtilization: max(now.CPUUtilization, 0), MemUtilization: max(now.MemUtilization, 0), Utilization: now.Utilization}); err != nil {
			return err
		}
		select {
		case <-stream.Context().Done():
			return nil
		case <-interval.C:
		}
	}
}

// notRouted holds a topology that orcaOOB is left out of to the reason: the front
// sends that path to nobody who speaks gRPC.
func (w *world) notRouted(t *testing.T, j job) {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(j.CA))
	conn, err := grpc.NewClient("passthrough:///"+j.Address, grpc.WithTransportCredentials(credentials.NewClientTLSFromCert(roots, j.Name)))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(t.Context(), caseLimit)
	defer cancel()
	stream, err := orcapb.NewOpenRcaServiceClient(conn).StreamCoreMetrics(ctx, &orcapb.OrcaLoadReportRequest{})
	if err == nil {
		_, err = stream.Recv()
	}
	if code := status.Code(err); code == codes.OK || code == codes.DeadlineExceeded || strings.Contains(err.Error(), "connection error") {
		t.Errorf("it is left out, and the answer is %v", err)
	}
}
