{{/*
(dict "root" $ "component" "operator"): the service account of a component and the rights that `files/rbac/<component>.yaml`
lists. That file is kept beside the code that needs the rights; names, namespaces and bindings are made here.
*/}}
{{- define "dreamhub.rbac" -}}
{{- $root := .root }}
{{- $component := .component }}
{{- $name := printf "%s-%s" (include "dreamhub.fullname" $root) $component }}
apiVersion: v1
kind: ServiceAccount
metadata:
  {{- include "dreamhub.metadata" . | nindent 2 }}
automountServiceAccountToken: false
{{- range $text := regexSplit "(?m)^---.*$" ($root.Files.Get (printf "files/rbac/%s.yaml" $component)) -1 }}
{{- $document := fromYaml $text }}
{{- if $document }}
{{- if not (has $document.kind (list "ClusterRole" "Role")) }}
{{- fail (printf "files/rbac/%s.yaml may hold ClusterRoles and Roles, not a %s" $component $document.kind) }}
{{- end }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ $document.kind }}
metadata:
  {{- include "dreamhub.metadata" (dict "root" $root "component" $component) | nindent 2 }}
rules:
  {{- toYaml $document.rules | nindent 2 }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ $document.kind }}Binding
metadata:
  {{- include "dreamhub.metadata" (dict "root" $root "component" $component) | nindent 2 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: {{ $document.kind }}
  name: {{ $name }}
subjects:
  - kind: ServiceAccount
    name: {{ $name }}
    namespace: {{ $root.Release.Namespace }}
{{- end }}
{{- end }}
{{- end }}
