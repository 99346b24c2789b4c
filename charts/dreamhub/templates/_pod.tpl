{{/* What all pods have in common. Everything here fits the "restricted" Pod Security Standard. */}}

{{- define "dreamhub.podSecurity" -}}
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile:
    type: RuntimeDefault
{{- end }}

{{- define "dreamhub.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
{{- end }}

{{/* (dict "root" $ "image" .Values.operator.image) */}}
{{- define "dreamhub.containerImage" -}}
image: {{ include "dreamhub.image" . | quote }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
{{- end }}

{{- define "dreamhub.pullSecrets" -}}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* (dict "root" $ "component" "operator" "values" .Values.operator): scheduling of a replicated service. */}}
{{- define "dreamhub.scheduling" -}}
{{- with .values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
topologySpreadConstraints:
  {{- range list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
  - maxSkew: 1
    topologyKey: {{ . }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "dreamhub.selector" $ | nindent 8 }}
  {{- end }}
{{- end }}

{{/* (dict "root" $ "login" "api"): waits, before a service starts, until the schema fits its build. */}}
{{- define "dreamhub.waitForSchema" -}}
- name: schema
  {{- include "dreamhub.containerImage" (dict "root" .root "image" .root.Values.apiServer.image) | nindent 2 }}
  command: [/opt/venv/bin/python, -m, dreamhub.sql.migrate, wait]
  args: [--timeout, {{ .root.Values.migration.timeoutSeconds | quote }}]
  env:
    - name: DREAMHUB_DATABASE_URL_FILE
      value: /var/run/dreamhub/connections/database-url
    - name: DREAMHUB_LOG_LEVEL
      value: {{ .root.Values.logLevel }}
  {{- include "dreamhub.containerSecurity" . | nindent 2 }}
  resources:
    {{- toYaml .root.Values.migration.resources | nindent 4 }}
  volumeMounts:
    - {name: connections, mountPath: /var/run/dreamhub/connections, readOnly: true}
    - {name: tmp, mountPath: /tmp}
{{- end }}
