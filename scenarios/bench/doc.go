// Package bench holds the benchmarks that need a whole path: client, kas,
// tunnel, agent, cluster. It has no code of its own beside its tests. Its law:
// kas runs in a process of its own, so that what is counted is kas's; ratios
// are between two things measured in the same run; and a ratio that is not
// kept fails the benchmark.
package bench
