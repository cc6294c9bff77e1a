{{- define "contract.kas.host" -}}
{{- $h := .Values.global.hosts -}}
{{- if $h.kas.name -}}{{ $h.kas.name }}{{- else if $h.domain -}}kas{{ with $h.hostSuffix }}-{{ . }}{{ end }}.{{ $h.domain }}{{- end -}}
{{- end -}}

{{- define "contract.kas.https" -}}
{{- if or .Values.global.hosts.kas.https .Values.global.hosts.https -}}true{{- end -}}
{{- end -}}

{{- define "contract.gitlab.url" -}}
{{- $h := .Values.global.hosts -}}
http{{ if $h.https }}s{{ end }}://gitlab{{ with $h.hostSuffix }}-{{ . }}{{ end }}.{{ $h.domain }}
{{- end -}}

{{- define "contract.kas.grpc" -}}
{{- $g := .Values.global -}}
{{- if not $g.appConfig.relativeUrlRoot -}}
{{- if or (and $g.gatewayApi.enabled $g.gatewayApi.installEnvoy) (eq (toString $g.kas.ingress.grpc.enabled) "true") -}}true
{{- else if and (not (kindIs "bool" $g.kas.ingress.grpc.enabled)) $g.ingress.enabled (eq $g.ingress.provider "nginx") -}}true
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "contract.kas.externalUrl" -}}
{{- with .Values.global.appConfig.gitlab_kas.externalUrl -}}{{ . }}{{- else -}}
{{- $tls := eq (include "contract.kas.https" .) "true" -}}
{{- if and $tls (eq (include "contract.kas.grpc" .) "true") -}}grpcs{{- else -}}{{ ternary "wss" "ws" $tls }}{{- end -}}
://{{ include "contract.kas.host" . }}
{{- end -}}
{{- end -}}

{{- define "contract.kas.internalUrl" -}}
{{- with .Values.global.appConfig.gitlab_kas.internalUrl -}}{{ . }}{{- else -}}
grpc{{ if .Values.global.kas.tls.enabled }}s{{ end }}://{{ .Release.Name }}-kas.{{ .Release.Namespace }}.svc:{{ .Values.global.kas.service.apiExternalPort }}
{{- end -}}
{{- end -}}

{{- define "contract.ingress.apiVersion" -}}
{{- if .Capabilities.APIVersions.Has "networking.k8s.io/v1/Ingress" -}}networking.k8s.io/v1{{- else -}}extensions/v1beta1{{- end -}}
{{- end -}}
