{{/* Names and labels. */}}

{{- define "dreamhub.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" }}
{{- else if contains "dreamhub" .Release.Name }}
{{- .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-dreamhub" .Release.Name | trunc 40 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{/* (dict "root" $ "component" "operator"): what a component's pods are found by; never changes. */}}
{{- define "dreamhub.selector" -}}
app.kubernetes.io/name: dreamhub
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{/* (dict "root" $ "component" "operator") */}}
{{- define "dreamhub.labels" -}}
{{ include "dreamhub.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: dreamhub
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* (dict "root" $ "component" "operator"): metadata of an object that belongs to a component and carries its name. */}}
{{- define "dreamhub.metadata" -}}
name: {{ include "dreamhub.fullname" .root }}-{{ .component }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "dreamhub.labels" . | nindent 2 }}
{{- end }}

{{/* (dict "root" $ "image" .Values.operator.image) */}}
{{- define "dreamhub.image" -}}
{{- $repository := list .root.Values.image.registry .image.repository | compact | join "/" }}
{{- if .image.digest }}
{{- printf "%s@%s" $repository .image.digest }}
{{- else }}
{{- printf "%s:%s" $repository (coalesce .image.tag .root.Values.image.tag .root.Chart.AppVersion) }}
{{- end }}
{{- end }}
