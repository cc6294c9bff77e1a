package kas

import (
	"slices"

	"kasgen/internal/diag"
	"kasgen/internal/kasconf"
)

// The codes of what the embedded kas makes of a file that GitLab's kas accepts.
const (
	CodeRefused  = "KAS3001" // a section that it cannot honour
	CodeUnused   = "KAS3002" // a key that has no effect in it
	CodeRegistry = "KAS3003" // Redis, which it does not have
	CodeCommand  = "KAS3004" // config.command failed
	CodeNotRun   = "KAS3005" // config.command, before it has run
)

// refused are the sections whose absence somebody would notice: a listener
// that does not open, agents that are not found.
func refused(f *kasconf.File, places kasconf.Places, memory bool) diag.Findings {
	var fs diag.Findings
	refuse := func(present bool, code, field, why, fix string) {
		if present {
			fs.Add(diag.Finding{Code: code, Pos: places.Pos(field), Field: field,
				What: field + " is not something that the embedded kas does", Why: why, Fix: fix})
		}
	}
	refuse(f.Redis != nil && !memory, CodeRegistry, "redis", "it keeps its tunnels in memory, and no other kas would find them",
		"give --registry memory if this is the only kas, or run GitLab's kas with this file")
	refuse(f.Workspaces != nil && f.Workspaces.Enabled, CodeRefused, "workspaces.enabled", "the embedded kas has no workspaces proxy", "set it to false, or run GitLab's kas")
	refuse(f.Autoflow != nil && f.Autoflow.Temporal != nil, CodeRefused, "autoflow.temporal", "the embedded kas runs no workflows", "remove it, or run GitLab's kas")
	return fs
}

// unusedKey is a key, or a section with all that is in it, that is accepted
// because GitLab's packages write it, and has no effect.
type unusedKey struct{ field, why string }

func unusedKeys() []unusedKey {
	const noRedis = "there is no Redis here: the registry is this process's memory"
	const noGitaly = "the embedded kas reads no agent's configuration from repositories, and so never calls Gitaly"
	return []unusedKey{
		{"agent.configuration", noGitaly},
		{"agent.redis_conn_info_ttl", noRedis},
		{"agent.redis_conn_info_refresh", noRedis},
		{"agent.redis_conn_info_gc", noRedis},
		{"agent.gitops", "the embedded kas deploys nothing; agents' gitops module is told that it is not there"},
		{"agent.remote_development", "the embedded kas does not serve agents' module for workspaces"},
		{"agent.receptive_agent", "the embedded kas waits for agents to connect and connects to none"},
		{"observability.usage_reporting_period", "the embedded kas reports no usage to GitLab"},
		{"observability.logging.grpc_level", "gRPC's own log is off here"},
		{"observability.tracing", "the embedded kas sends no spans"},
		{"observability.sentry", "the embedded kas reports errors to its log only"},
		{"observability.google_profiler", "the embedded kas has no profiler"},
		{"gitaly", noGitaly},
		{"redis", noRedis},
		{"private_api.listen.ca_certificate_file", "the embedded kas calls no other kas"},
		{"autoflow.http_client", "the embedded kas runs no workflows"},
	}
}

// unused are findings for what has no effect in a file and is not refused.
func unused(f *kasconf.File, places kasconf.Places, refused diag.Findings) diag.Findings {
	var fs diag.Findings
	for _, k := range unusedKeys() {
		if !places.Has(k.field) || off(f, k.field) || slices.ContainsFunc(refused, func(r diag.Finding) bool { return r.Field == k.field }) {
			continue
		}
		fs.Add(diag.Finding{Code: CodeUnused, Severity: diag.Warning, Pos: places.Pos(k.field), Field: k.field,
			What: k.field + " has no effect in the embedded kas", Why: k.why, Fix: "nothing to do, unless you need it: GitLab's kas honours it"})
	}
	if f.Config != nil && f.Config.Command != "" && len(places) == 1 {
		fs.Add(diag.Finding{Code: CodeNotRun, Severity: diag.Warning, Pos: places.Pos("config.command"), Field: "config.command",
			What: "what config.command adds to the file is not known yet", Why: "`run` executes the command, `run --check` changes and executes nothing",
			Fix: "nothing to do; faults in what it adds are reported when `run` starts"})
	}
	return fs
}

// off says whether a key asks for nothing, which is what it gets.
func off(f *kasconf.File, field string) bool {
	switch field {
	case "observability.usage_reporting_period":
		return *f.Observability.UsageReportingPeriod == 0
	case "observability.google_profiler":
		return !f.Observability.GoogleProfiler.Enabled
	default:
		return false
	}
}
