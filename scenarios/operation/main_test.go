package operation_test

import (
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// A closed SPDY connection waits a second for somebody to take the
		// error of closing it twice; client-go does not.
		goleak.IgnoreTopFunction("github.com/moby/spdystream.(*Connection).shutdown"),
		// client-go's pings over WebSocket find out at the next one, at most
		// 5 seconds later, that the connection is gone.
		goleak.IgnoreTopFunction("k8s.io/client-go/tools/remotecommand.(*heartbeat).start"),
		// client-go forgets the reader of a forwarded connection's error stream
		// when the connection breaks before the data stream is made.
		goleak.IgnoreTopFunction("k8s.io/client-go/tools/portforward.(*PortForwarder).handleConnection.func1"),
		// The node's code waits five seconds for the second of two streams, and
		// hands a stream that is opened while a connection ends to nobody.
		goleak.IgnoreAnyFunction("k8s.io/cri-streaming/pkg/streaming/portforward.(*httpStreamHandler).monitorStreamPair"),
		goleak.IgnoreAnyFunction("k8s.io/cri-streaming/pkg/streaming/portforward.handleHTTPStreams.httpStreamReceived.func1"),
		goleak.IgnoreAnyFunction("k8s.io/streaming/pkg/httpstream/spdy.newConnection"),
		goleak.IgnoreAnyFunction("github.com/moby/spdystream.(*Connection).Serve"),
		// The rest belongs to TestGivenUp, which leaves connections while their
		// streams are being made. spdystream waits 30 seconds for the answer to
		// a new stream, and for ever for its own answer to be sent, also on a
		// connection that is gone; and its shutdown waits for such streams.
		// client-go's executor over WebSocket, given up in that moment, waits
		// for streams that nobody reads any more.
		goleak.IgnoreAnyFunction("k8s.io/client-go/tools/remotecommand.(*wsStreamExecutor).StreamWithContext.func1"),
		goleak.IgnoreAnyFunction("k8s.io/client-go/tools/remotecommand.watchErrorStream.func1"),
		goleak.IgnoreAnyFunction("k8s.io/client-go/tools/remotecommand.(*streamProtocolV2).copyStdin.func1"),
		goleak.IgnoreAnyFunction("k8s.io/client-go/tools/remotecommand.(*streamProtocolV2).copyStdin.func2"),
		goleak.IgnoreAnyFunction("k8s.io/client-go/tools/remotecommand.(*streamProtocolV2).copyStdout.func1"),
		goleak.IgnoreAnyFunction("k8s.io/client-go/tools/remotecommand.(*streamProtocolV2).copyStderr.func1"),
		goleak.IgnoreAnyFunction("github.com/moby/spdystream.(*Stream).WaitTimeout"),
		goleak.IgnoreAnyFunction("github.com/moby/spdystream.(*Stream).waitWriteReply"),
		goleak.IgnoreAnyFunction("github.com/moby/spdystream.(*Connection).shutdown.func1"),
	)
}
