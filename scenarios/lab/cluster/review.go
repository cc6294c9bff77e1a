package cluster

import (
	"maps"
	"net/http"
	"slices"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// owner is who the bearer token belongs to.
func owner() Identity {
	return Identity{User: "kasgen-lab", Groups: []string{"system:masters", "system:authenticated"}}
}

// review answers who the caller is: the one who is impersonated, if any.
func (a *apiServer) review(w http.ResponseWriter, r *http.Request, as Identity) {
	if r.Method != http.MethodPost {
		writeStatus(w, errMethod(r, "selfsubjectreviews"))
		return
	}
	if _, err := readBody(r); err != nil {
		writeStatus(w, err)
		return
	}
	who := as
	switch {
	case as.empty():
		who = owner()
	case !slices.Contains(as.Groups, "system:authenticated"):
		who.Groups = append(slices.Clone(as.Groups), "system:authenticated")
	}
	answer := authenticationv1.SelfSubjectReview{
		TypeMeta:   metav1.TypeMeta{Kind: "SelfSubjectReview", APIVersion: "authentication.k8s.io/v1"},
		ObjectMeta: metav1.ObjectMeta{CreationTimestamp: metav1.Now()},
		Status: authenticationv1.SelfSubjectReviewStatus{UserInfo: authenticationv1.UserInfo{
			Username: who.User, UID: who.UID, Groups: who.Groups,
		}},
	}
	for _, key := range slices.Sorted(maps.Keys(who.Extra)) {
		if answer.Status.UserInfo.Extra == nil {
			answer.Status.UserInfo.Extra = map[string]authenticationv1.ExtraValue{}
		}
		answer.Status.UserInfo.Extra[key] = who.Extra[key]
	}
	writeJSON(w, http.StatusCreated, answer)
}

func singular(k kind) string { return strings.ToLower(k.name) }
