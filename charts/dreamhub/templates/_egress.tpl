{{/* What every tenant's workers must reach, for the policies that the operator makes: a JSON list. */}}
{{- define "dreamhub.tenantEgress" -}}
{{- $rules := list }}
{{- range $component, $port := dict "postgres" 5432 "redis" 6379 "s3" 8333 }}
{{- $values := index $.Values $component }}
{{- if $values.embedded.enabled }}
{{- $selector := include "dreamhub.selector" (dict "root" $ "component" $component) | fromYaml }}
{{- $rules = append $rules (dict "namespace" $.Release.Namespace "podSelector" $selector "ports" (list $port)) }}
{{- else }}
{{- $rules = concat $rules $values.external.egress }}
{{- end }}
{{- end }}
{{- if .Values.scanner.enabled }}
{{- if .Values.scanner.embedded.enabled }}
{{- $selector := include "dreamhub.selector" (dict "root" $ "component" "scanner") | fromYaml }}
{{- $rules = append $rules (dict "namespace" $.Release.Namespace "podSelector" $selector "ports" (list 3310)) }}
{{- else }}
{{- $rules = concat $rules .Values.scanner.external.egress }}
{{- end }}
{{- end }}
{{- $api := include "dreamhub.selector" (dict "root" $ "component" "api-server") | fromYaml }}
{{- $rules = append $rules (dict "namespace" $.Release.Namespace "podSelector" $api "ports" (list 8081)) }}
{{- concat $rules .Values.models.egress | toJson }}
{{- end }}
