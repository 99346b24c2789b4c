{{/*
Generated passwords. One that is in the cluster is kept; a new one is remembered for the rest of the rendering, so that
every template, and every checksum, sees the same.
*/}}

{{/* (dict "root" $ "secret" "dreamhub-postgres" "key" "api-password") */}}
{{- define "dreamhub.password" -}}
{{- $memory := get .root.Values "generatedPasswords" | default dict }}
{{- $_ := set .root.Values "generatedPasswords" $memory }}
{{- $name := printf "%s/%s" .secret .key }}
{{- if not (hasKey $memory $name) }}
{{- $present := (lookup "v1" "Secret" .root.Release.Namespace .secret).data | default dict }}
{{- $_ := set $memory $name (get $present .key | b64dec | default (randAlphaNum 32)) }}
{{- end }}
{{- get $memory $name }}
{{- end }}

{{- define "dreamhub.postgres.data" -}}
{{- $secret := include "dreamhub.postgres.secret" . }}
{{- $address := include "dreamhub.postgres.address" . }}
{{- range $role, $key := dict "owner" "migrate" "api" "api" "operator" "operator" }}
{{- $password := include "dreamhub.password" (dict "root" $ "secret" $secret "key" (printf "%s-password" $role)) }}
{{ $role }}-password: {{ $password | quote }}
{{ $key }}-url: {{ printf "postgresql://dreamhub_%s:%s@%s" $role $password $address | quote }}
{{- end }}
{{- end }}

{{- define "dreamhub.redis.data" -}}
{{- $secret := include "dreamhub.redis.secret" . }}
{{- $address := include "dreamhub.redis.address" . }}
{{- range $login := list "api" "operator" }}
{{- $password := include "dreamhub.password" (dict "root" $ "secret" $secret "key" (printf "%s-password" $login)) }}
{{ $login }}-password: {{ $password | quote }}
{{ $login }}-url: {{ printf "redis://dreamhub_%s:%s@%s/0" $login $password $address | quote }}
{{- end }}
{{- end }}

{{- define "dreamhub.s3.data" -}}
{{- $secret := include "dreamhub.s3.secret" . }}
{{- range $key := list "access-key" "secret-key" }}
{{ $key }}: {{ include "dreamhub.password" (dict "root" $ "secret" $secret "key" $key) | quote }}
{{- end }}
{{- end }}

{{- define "dreamhub.secretsData" -}}
{{- if .Values.postgres.embedded.enabled }}{{ include "dreamhub.postgres.data" . }}{{ end }}
{{- if .Values.redis.embedded.enabled }}{{ include "dreamhub.redis.data" . }}{{ end }}
{{- if .Values.s3.embedded.enabled }}{{ include "dreamhub.s3.data" . }}{{ end }}
{{- end }}
