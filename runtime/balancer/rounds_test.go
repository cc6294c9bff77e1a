package balancer

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestTurns holds the orders of roundrobin and static-rr to those that HAProxy
// 2.6.12 was seen to give its servers.
func TestTurns(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		weights      []int
		rounds, ring string
	}{
		{[]int{3, 1}, "aaabaaabaaabaaabaaabaaabaaabaaabaaabaaab", "aaabaaabaaabaaabaaabaaabaaabaaabaaabaaab"},
		{[]int{1, 3}, "bbbabbbabbbabbbabbbabbbabbbabbbabbbabbba", "abbbabbbabbbabbbabbbabbbabbbabbbabbbabbb"},
		{[]int{1, 1}, "abababababababababababababababababababab", "abababababababababababababababababababab"},
		{[]int{5, 1, 1}, "aaabaacaaabaacaaabaacaaabaacaaabaacaaaba", "aaabaacaaabaacaaabaacaaabaacaaabaacaaaba"},
		{[]int{5, 2, 1}, "aabaacabaabaacabaabaacabaabaacabaabaacab", "aabaabacaabaabacaabaabacaabaabacaabaabac"},
		{[]int{1, 2, 3}, "cbcacbcbcacbcbcacbcbcacbcbcacbcbcacbcbca", "acbcbcacbcbcacbcbcacbcbcacbcbcacbcbcacbc"},
		{[]int{7, 3}, "aaabaabaabaaabaabaabaaabaabaabaaabaabaab", "aaabaabaabaaabaabaabaaabaabaabaaabaabaab"},
		{[]int{4, 4, 1}, "ababababcababababcababababcababababcabab", "ababababcababababcababababcababababcabab"},
		{[]int{2, 3}, "bbababbababbababbababbababbababbababbaba", "ababbababbababbababbababbababbababbababb"},
		{[]int{100, 1, 10}, "aaaaaaaaaacaaaaaaaaabacaaaaaaaaaacaaaaaa", "aaaaaaaaaabcaaaaaaaaaacaaaaaaaaaacaaaaaa"},
		{[]int{6, 4, 3, 2, 1, 1}, "abacdbaeacbadbacfabacdbaeacbadbacfabacdb", "abacbacdabdabcaefabacbacdabdabcaefabacba"},
		{[]int{13, 7, 5}, "aabacbaabcaabacabaacbaabcaabacbaabcaabac", "aabacababcaabacababcaabacaabacababcaabac"},
		{[]int{1, 1, 1, 2}, "dadbcdadbcdadbcdadbcdadbcdadbcdadbcdadbc", "abdcdabdcdabdcdabdcdabdcdabdcdabdcdabdcd"},
	} {
		for balance, want := range map[Balance]string{Rounds: tt.rounds, Ring: tt.ring} {
			var peers []*Peer
			for i, w := range tt.weights {
				peers = append(peers, &Peer{Name: string(rune('a' + i)), Weight: w})
			}
			if diff := cmp.Diff(want, picks(t, NewPool("p", balance, true, peers), same(len(want))...)); diff != "" {
				t.Errorf("%s by %v: %s", balance, tt.weights, diff)
			}
		}
	}
}

// TestTurnsOfWhoReturns: a server that was down waits for the next round, as
// HAProxy 2.6.12 was seen to have it, and has no arrears.
func TestTurnsOfWhoReturns(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		weight int // of the third
		want   string
	}{{1, "acacaca" + "cabcabcabcabc"}, {2, "ccaccac" + "cacbcacbcacbc"}} {
		p := NewPool("p", Rounds, true, []*Peer{{Name: "a", Weight: 1}, {Name: "b", Weight: 1}, {Name: "c", Weight: tt.weight}})
		b := p.peers[1]
		b.up = false
		got := picks(t, p, same(7)...)
		b.up = true
		got += picks(t, p, same(13)...)
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Error(diff)
		}
	}
}
