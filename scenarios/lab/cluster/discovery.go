package cluster

import (
	"net/http"
	goruntime "runtime"
	"sort"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/version"
)

// discover answers what clients ask before they ask for anything: versions,
// groups and resources. Everything else does not exist.
func (a *apiServer) discover(w http.ResponseWriter, r *http.Request) {
	group := metav1.GroupVersionForDiscovery{GroupVersion: "authentication.k8s.io/v1", Version: "v1"}
	authentication := metav1.APIGroup{
		TypeMeta: metav1.TypeMeta{Kind: "APIGroup", APIVersion: "v1"}, Name: "authentication.k8s.io",
		Versions: []metav1.GroupVersionForDiscovery{group}, PreferredVersion: group,
	}
	var answer any
	switch r.URL.Path {
	case "/version", "/version/":
		answer = a.serverVersion()
	case "/api", "/api/":
		answer = metav1.APIVersions{
			TypeMeta: metav1.TypeMeta{Kind: "APIVersions"}, Versions: []string{"v1"},
			ServerAddressByClientCIDRs: []metav1.ServerAddressByClientCIDR{},
		}
	case "/apis", "/apis/":
		listed := authentication
		listed.TypeMeta = metav1.TypeMeta{}
		answer = metav1.APIGroupList{TypeMeta: metav1.TypeMeta{Kind: "APIGroupList", APIVersion: "v1"}, Groups: []metav1.APIGroup{listed}}
	case "/apis/authentication.k8s.io", "/apis/authentication.k8s.io/":
		answer = authentication
	case "/apis/authentication.k8s.io/v1":
		answer = resources(group.GroupVersion, []metav1.APIResource{
			{Name: "selfsubjectreviews", Kind: "SelfSubjectReview", Verbs: metav1.Verbs{"create"}},
		})
	case "/api/v1":
		answer = resources("v1", coreResources())
	default:
		answer = openAPI(r.URL.Path, a.serverVersion().GitVersion)
	}
	switch {
	case answer == nil:
		writeStatus(w, errNotServed())
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		writeStatus(w, errMethod(r, ""))
	default:
		writeJSON(w, http.StatusOK, answer)
	}
}

// serverVersion is a version whose API servers translate WebSocket themselves,
// as this one does, or do not where it does not; the rest of it says that it is
// none.
func (a *apiServer) serverVersion() version.Info {
	minor, patch := "37", "2"
	if a.older {
		minor, patch = "29", "15"
	}
	return version.Info{
		Major: "1", Minor: minor, GitVersion: "v1." + minor + "." + patch + "+kasgen-lab",
		GoVersion: goruntime.Version(), Compiler: goruntime.Compiler, Platform: goruntime.GOOS + "/" + goruntime.GOARCH,
	}
}

func resources(groupVersion string, list []metav1.APIResource) metav1.APIResourceList {
	return metav1.APIResourceList{
		TypeMeta:     metav1.TypeMeta{Kind: "APIResourceList", APIVersion: "v1"},
		GroupVersion: groupVersion, APIResources: list,
	}
}

func coreResources() []metav1.APIResource {
	stream := metav1.Verbs{"create", "get"}
	list := []metav1.APIResource{
		{Name: "pods/attach", Kind: "PodAttachOptions", Namespaced: true, Verbs: stream},
		{Name: "pods/exec", Kind: "PodExecOptions", Namespaced: true, Verbs: stream},
		{Name: "pods/portforward", Kind: "PodPortForwardOptions", Namespaced: true, Verbs: stream},
		{Name: "pods/log", Kind: "Pod", Namespaced: true, Verbs: metav1.Verbs{"get"}},
	}
	for name, k := range kinds {
		verbs := metav1.Verbs{"get", "list", "watch"}
		if k.namespaced {
			verbs = append(verbs, "update", "patch")
		}
		if k.whole {
			verbs = append(verbs, "create", "delete")
		}
		list = append(list, metav1.APIResource{
			Name: name, SingularName: singular(k), Kind: k.name, ShortNames: []string{k.short},
			Namespaced: k.namespaced, Verbs: verbs, Categories: k.categories,
		})
	}
	sort.Slice(list, func(i, j int) bool { return list[i].Name < list[j].Name })
	return list
}
