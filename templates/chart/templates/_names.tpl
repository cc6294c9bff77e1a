{{- define "edge.labels" -}}
app.kubernetes.io/name: kasgen-kas-edge
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- define "edge.selector" -}}
app.kubernetes.io/name: kasgen-kas-edge
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "edge.kas" -}}{{ .Values.gitlab.release }}-kas{{- end -}}

{{- define "edge.acme" -}}{{- if eq .Values.certificate.source "acme" -}}true{{- end -}}{{- end -}}

{{- /* Names whose HTTP is taken here. */ -}}
{{- define "edge.hosts" -}}
{{- if and .Values.routes.kas (not .Values.edge.enabled) }}{{ .Values.names.kas }} {{ end }}{{- if .Values.names.grpc }}{{ .Values.names.grpc }}{{ end }}
{{- end -}}

{{- define "edge.nginx.limits" -}}
nginx.ingress.kubernetes.io/proxy-read-timeout: {{ .Values.idleSeconds | quote }}
nginx.ingress.kubernetes.io/proxy-send-timeout: {{ .Values.idleSeconds | quote }}
nginx.ingress.kubernetes.io/proxy-body-size: "0"
{{- end }}
