{{/* What the three embedded servers have in common: one pod, one volume, no token, no way out. */}}

{{/* (dict "root" $ "component" "postgres" "port" 5432) */}}
{{- define "dreamhub.embedded.service" -}}
apiVersion: v1
kind: Service
metadata:
  {{- include "dreamhub.metadata" . | nindent 2 }}
spec:
  selector:
    {{- include "dreamhub.selector" . | nindent 4 }}
  ports:
    - {name: {{ .component }}, port: {{ .port }}, targetPort: {{ .component }}}
{{- end }}

{{/* (dict "root" $ "component" "postgres" "values" .Values.postgres.embedded): StatefulSet's spec up to its containers */}}
{{- define "dreamhub.embedded.claim" -}}
volumeClaimTemplates:
  - metadata:
      name: data
      labels:
        {{- include "dreamhub.selector" . | nindent 8 }}
    spec:
      accessModes: [ReadWriteOnce]
      {{- with .values.storage.className }}
      storageClassName: {{ . }}
      {{- end }}
      resources:
        requests:
          storage: {{ .values.storage.size }}
{{- end }}

{{/* The same dict: everything of a pod but its containers and volumes. */}}
{{- define "dreamhub.embedded.pod" -}}
automountServiceAccountToken: false
enableServiceLinks: false
{{- include "dreamhub.pullSecrets" .root | nindent 0 }}
{{ include "dreamhub.podSecurity" .root }}
{{- with .values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
