{{/*
Where PostgreSQL, Redis and S3 are, and which Secrets hold the logins. Embedded or external, a Secret has the same keys,
so nothing else in the chart asks which of the two it is.
*/}}

{{- define "dreamhub.host" -}}
{{- printf "%s-%s.%s.svc" (include "dreamhub.fullname" .root) .component .root.Release.Namespace }}
{{- end }}

{{- define "dreamhub.postgres.secret" -}}
{{- if .Values.postgres.embedded.enabled }}
{{- .Values.postgres.embedded.existingSecret | default (printf "%s-postgres" (include "dreamhub.fullname" .)) }}
{{- else }}
{{- required "postgres.external.existingSecret: name a Secret with the keys migrate-url, api-url and operator-url, or turn postgres.embedded on" .Values.postgres.external.existingSecret }}
{{- end }}
{{- end }}

{{- define "dreamhub.postgres.address" -}}
{{- if .Values.postgres.embedded.enabled }}
{{- printf "%s:5432/dreamhub" (include "dreamhub.host" (dict "root" . "component" "postgres")) }}
{{- else }}
{{- required "postgres.external.address: say where workers find the database, as host:port/database" .Values.postgres.external.address }}
{{- end }}
{{- end }}

{{- define "dreamhub.redis.secret" -}}
{{- if .Values.redis.embedded.enabled }}
{{- .Values.redis.embedded.existingSecret | default (printf "%s-redis" (include "dreamhub.fullname" .)) }}
{{- else }}
{{- required "redis.external.existingSecret: name a Secret with the keys api-url and operator-url, or turn redis.embedded on" .Values.redis.external.existingSecret }}
{{- end }}
{{- end }}

{{- define "dreamhub.redis.address" -}}
{{- if .Values.redis.embedded.enabled }}
{{- printf "%s:6379" (include "dreamhub.host" (dict "root" . "component" "redis")) }}
{{- else }}
{{- required "redis.external.address: say where workers find Redis, as host:port" .Values.redis.external.address }}
{{- end }}
{{- end }}

{{- define "dreamhub.s3.secret" -}}
{{- if .Values.s3.embedded.enabled }}
{{- .Values.s3.embedded.existingSecret | default (printf "%s-s3" (include "dreamhub.fullname" .)) }}
{{- else }}
{{- required "s3.external.existingSecret: name a Secret with the keys access-key and secret-key, or turn s3.embedded on" .Values.s3.external.existingSecret }}
{{- end }}
{{- end }}

{{- define "dreamhub.s3.endpoint" -}}
{{- if .Values.s3.embedded.enabled }}
{{- printf "http://%s:8333" (include "dreamhub.host" (dict "root" . "component" "s3")) }}
{{- else }}
{{- required "s3.external.endpoint: say where the S3 service is, such as https://s3.eu-central-1.amazonaws.com" .Values.s3.external.endpoint }}
{{- end }}
{{- end }}

{{- define "dreamhub.jobTokens.secret" -}}
{{- .Values.jobTokens.existingSecret | default (printf "%s-job-tokens" (include "dreamhub.fullname" .)) }}
{{- end }}

{{- define "dreamhub.scanner.address" -}}
{{- if .Values.scanner.embedded.enabled }}
{{- printf "%s:3310" (include "dreamhub.host" (dict "root" . "component" "scanner")) }}
{{- else }}
{{- required "scanner.external.address: say where workers find clamd, as host:port, or turn scanner.embedded on" .Values.scanner.external.address }}
{{- end }}
{{- end }}

{{/* (dict "root" $ "login" "api"): the files database-url and redis-url of one login. */}}
{{- define "dreamhub.connectionsVolume" -}}
- name: connections
  projected:
    defaultMode: 0440
    sources:
      - secret:
          name: {{ include "dreamhub.postgres.secret" .root }}
          items: [{key: {{ .login }}-url, path: database-url}]
      - secret:
          name: {{ include "dreamhub.redis.secret" .root }}
          items: [{key: {{ .login }}-url, path: redis-url}]
- name: s3
  secret:
    secretName: {{ include "dreamhub.s3.secret" .root }}
    defaultMode: 0440
    items: [{key: access-key, path: access-key}, {key: secret-key, path: secret-key}]
- name: job-tokens
  secret:
    secretName: {{ include "dreamhub.jobTokens.secret" .root }}
    defaultMode: 0440
- name: models
  configMap:
    name: {{ include "dreamhub.fullname" .root }}-models
{{- with .root.Values.models.apiKeysSecret }}
- name: model-keys
  secret:
    secretName: {{ . }}
    defaultMode: 0440
{{- end }}
- name: tmp
  emptyDir: {}
{{- end }}

{{- define "dreamhub.connectionsMounts" -}}
- {name: connections, mountPath: /var/run/dreamhub/connections, readOnly: true}
- {name: s3, mountPath: /var/run/dreamhub/s3, readOnly: true}
- {name: job-tokens, mountPath: /var/run/dreamhub/job-tokens, readOnly: true}
- {name: models, mountPath: /etc/dreamhub, readOnly: true}
{{- if .Values.models.apiKeysSecret }}
- {name: model-keys, mountPath: /var/run/dreamhub/model-keys, readOnly: true}
{{- end }}
- {name: tmp, mountPath: /tmp}
{{- end }}

{{/* Settings that the operator and the API server share. */}}
{{- define "dreamhub.connectionsEnv" -}}
- name: DREAMHUB_SYSTEM_NAMESPACE
  valueFrom:
    fieldRef:
      fieldPath: metadata.namespace
- name: DREAMHUB_LOG_LEVEL
  value: {{ .Values.logLevel }}
- name: DREAMHUB_DATABASE_URL_FILE
  value: /var/run/dreamhub/connections/database-url
- name: DREAMHUB_REDIS_URL_FILE
  value: /var/run/dreamhub/connections/redis-url
- name: DREAMHUB_S3_ENDPOINT
  value: {{ include "dreamhub.s3.endpoint" . | quote }}
- name: DREAMHUB_S3_BUCKET
  value: {{ .Values.s3.bucket | quote }}
- name: DREAMHUB_S3_REGION
  value: {{ .Values.s3.external.region | quote }}
- name: DREAMHUB_S3_CREDENTIALS_DIR
  value: /var/run/dreamhub/s3
- name: DREAMHUB_JOB_TOKEN_KEYS_DIR
  value: /var/run/dreamhub/job-tokens
- name: DREAMHUB_MODELS_FILE
  value: /etc/dreamhub/models.yaml
{{- end }}

{{/* What a pod must be restarted for: the model list, which is read once. Logins and keys are files that are reread. */}}
{{- define "dreamhub.modelsChecksum" -}}
checksum/models: {{ toJson .Values.models | sha256sum }}
{{- end }}
