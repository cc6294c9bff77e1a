package charttest

import "fmt"

// Large is the contract chart of 9.9 with sub-charts and objects of the kinds
// that an umbrella has, so that there are at least as many of both as asked for
// whose names are other than the contract's.
func Large(charts, objects int) (map[string][]byte, error) {
	files, err := Files("9.9")
	if err != nil {
		return nil, err
	}
	each := (objects + charts - 1) / charts
	for c := range charts {
		dir := fmt.Sprintf("charts/part-%d/", c)
		files[dir+"Chart.yaml"] = fmt.Appendf(nil, "apiVersion: v2\nname: part-%d\nversion: 1.0.0\n", c)
		values := "enabled: true\nreplicas: 2\nresources: {requests: {cpu: 100m, memory: 128Mi}}\n"
		for k := range 40 {
			values += fmt.Sprintf("key%d: {a: %d, b: {c: text, d: [1, 2, 3]}}\n", k, k)
		}
		files[dir+"values.yaml"] = []byte(values)
		for o := range each {
			files[fmt.Sprintf("%stemplates/object-%d.yaml", dir, o)] = []byte(object(c, o))
		}
	}
	return files, nil
}

func object(c, o int) string {
	name := fmt.Sprintf("{{ .Release.Name }}-part-%d-%d", c, o)
	meta := "metadata:\n  name: " + name + "\n  namespace: {{ .Release.Namespace }}\n  labels: {app: part, release: {{ .Release.Name }}}\n"
	switch o % 3 {
	case 0:
		return "apiVersion: apps/v1\nkind: Deployment\n" + meta + `spec:
  replicas: {{ .Values.replicas }}
  selector: {matchLabels: {app: part}}
  template:
    metadata:
      labels: {app: part}
      annotations: {checksum/config: {{ toYaml .Values | sha256sum }}}
    spec:
      containers:
        - name: part
          image: registry.example.com/part:1
          resources: {{- toYaml .Values.resources | nindent 12 }}
`
	case 1:
		return "apiVersion: v1\nkind: Service\n" + meta + "spec:\n  selector: {app: part}\n  ports: [{name: http, port: 80}]\n"
	default:
		return "apiVersion: v1\nkind: ConfigMap\n" + meta + "data:\n  file.yaml: |\n{{ toYaml (omit .Values \"global\") | indent 4 }}\n"
	}
}
