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

{{- define "dreamhub.jobTokens.data" -}}
current: {{ include "dreamhub.password" (dict "root" . "secret" (include "dreamhub.jobTokens.secret" .) "key" "current") | quote }}
{{- end }}

{{/*
(dict "root" $ "component" "postgres"): what an embedded server must be restarted for, since it reads its logins when it
starts. A Secret of yours is looked up; it counts from the next upgrade on, or from a restart by hand.
*/}}
{{- define "dreamhub.embedded.loginsChecksum" -}}
{{- with (index .root.Values .component).embedded.existingSecret }}
{{- (lookup "v1" "Secret" $.root.Release.Namespace .).data | default dict | toJson | sha256sum }}
{{- else }}
{{- include (printf "dreamhub.%s.data" .component) .root | sha256sum }}
{{- end }}
{{- end }}
