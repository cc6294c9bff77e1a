package agent

import (
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"kasgen/internal/kasrpc/grpctool"
	tunnelpb "kasgen/internal/kasrpc/tunnel"
)

// Kinds of message are the numbers of their fields. The end of a stream is
// number 0, and what none of the fields holds is never in order.
const (
	kindEnd = 0

	tunnelRequestInfo = 1
	tunnelMessage     = 2
	tunnelCloseSend   = 3

	httpHeader      = 1
	httpData        = 2
	httpTrailer     = 3
	httpUpgradeData = 4

	kindUnknown = 7
)

// order says which kinds of message may follow one another.
type order struct {
	stream string
	// allowed has a bit for each kind that may follow the kind of its index.
	// Index 0 is the start: the end of a stream has no successor.
	allowed [5]uint8
	last    int
}

func bits(kinds ...int) uint8 {
	var b uint8
	for _, k := range kinds {
		b |= 1 << k
	}
	return b
}

// tunnelOrder is that of the messages kas sends on a Connect stream.
func tunnelOrder() order {
	return order{stream: "reverse tunnel", allowed: [5]uint8{
		0:                 bits(tunnelRequestInfo, kindEnd),
		tunnelRequestInfo: bits(tunnelMessage, tunnelCloseSend, kindEnd),
		tunnelMessage:     bits(tunnelMessage, tunnelCloseSend, kindEnd),
		tunnelCloseSend:   bits(kindEnd),
	}}
}

// requestOrder is that of the messages of one HTTP request.
func requestOrder() order {
	return order{stream: "HTTP request", allowed: [5]uint8{
		0:               bits(httpHeader),
		httpHeader:      bits(httpData, httpTrailer),
		httpData:        bits(httpData, httpTrailer),
		httpTrailer:     bits(httpUpgradeData, kindEnd),
		httpUpgradeData: bits(httpUpgradeData, kindEnd),
	}}
}

// next accepts the next kind, or says InvalidArgument.
func (o *order) next(kind int) error {
	if o.allowed[o.last]&(1<<kind) == 0 {
		return status.Errorf(codes.InvalidArgument, "%s: message %d may not follow message %d", o.stream, kind, o.last)
	}
	o.last = kind
	return nil
}

func kindOfTunnel(m *tunnelpb.ConnectResponse) int {
	switch m.GetMsg().(type) {
	case *tunnelpb.ConnectResponse_RequestInfo:
		return tunnelRequestInfo
	case *tunnelpb.ConnectResponse_Message:
		return tunnelMessage
	case *tunnelpb.ConnectResponse_CloseSend:
		return tunnelCloseSend
	default:
		return kindUnknown
	}
}

func kindOfRequest(m *grpctool.HttpRequest) int {
	switch m.GetMessage().(type) {
	case *grpctool.HttpRequest_Header_:
		return httpHeader
	case *grpctool.HttpRequest_Data_:
		return httpData
	case *grpctool.HttpRequest_Trailer_:
		return httpTrailer
	case *grpctool.HttpRequest_UpgradeData_:
		return httpUpgradeData
	default:
		return kindUnknown
	}
}
