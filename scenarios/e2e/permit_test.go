//go:build e2e

package e2e

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"kasgen/scenarios/lab"
	"kasgen/scenarios/lab/apiserver"
	"kasgen/scenarios/lab/cluster"
)

const (
	// agentUser is as whom the agents connect. All that it may do is be
	// somebody else, so that whatever works was permitted to that one.
	agentUser = "gitlab-agent"
	// elsewhere is a namespace in which a job may do nothing.
	elsewhere = "elsewhere"
)

// Whom kas makes of the lab's job.
var (
	jobUser  = fmt.Sprintf("gitlab:ci_job:%d", lab.JobID)
	jobGroup = fmt.Sprintf("gitlab:project:%d", lab.ProjectID)
)

// permit gives the agent and the job what an operator of a cluster would.
func permit(t *testing.T, s *apiserver.Server) {
	t.Helper()
	client, err := kubernetes.NewForConfig(s.RESTConfig())
	if err != nil {
		t.Fatal(err)
	}
	ctx, rbac := t.Context(), client.RbacV1()
	group := func(name string) []rbacv1.Subject {
		return []rbacv1.Subject{{Kind: "Group", APIGroup: rbacv1.GroupName, Name: name}}
	}
	_, err = rbac.ClusterRoles().Create(ctx, &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: agentUser}, Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{"", "authentication.k8s.io"}, Resources: []string{"*"}, Verbs: []string{"impersonate"}},
	}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = rbac.ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: agentUser},
		RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: agentUser},
		Subjects: []rbacv1.Subject{{Kind: "User", APIGroup: rbacv1.GroupName, Name: agentUser}}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = rbac.Roles(cluster.Namespace).Create(ctx, &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: "job"}, Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"pods", "pods/log"}, Verbs: []string{"get", "list", "watch"}},
		// SPDY needs create; WebSocket needs get, and from 1.36 create as well.
		{APIGroups: []string{""}, Resources: []string{"pods/exec", "pods/attach", "pods/portforward"}, Verbs: []string{"get", "create"}},
		{APIGroups: []string{""}, Resources: []string{"configmaps"}, Verbs: []string{"*"}},
	}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = rbac.RoleBindings(cluster.Namespace).Create(ctx, &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "job"},
		RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "job"}, Subjects: group(jobGroup)}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: elsewhere}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
}
