{{- define "pythonpool.image" -}}
{{ printf "%s/%s:%s" .root.Values.image.registry .name (.root.Values.image.tag | default .root.Chart.AppVersion) }}
{{- end }}

{{- define "pythonpool.labels" -}}
{{ include "pythonpool.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end }}

{{- define "pythonpool.selector" -}}
app.kubernetes.io/name: pythonpool
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- /* Everything is refused but what a container here needs: Pod Security "restricted". */}}
{{- define "pythonpool.podSecurity" -}}
runAsNonRoot: true
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "pythonpool.security" -}}
runAsUser: {{ . }}
runAsGroup: {{ . }}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{- define "pythonpool.callers" -}}
{{ .Values.callers.secretName | default "pythonpool-callers" }}
{{- end }}

{{- define "pythonpool.links" -}}
{{- $names := dict "operator" "pythonpool-link-keys" "cert-manager" "pythonpool-link-certificate" }}
{{- .Values.links.secretName | default (get $names (include "pythonpool.linkKeeper" .)) }}
{{- end }}

{{- /* Who makes and renews the certificate for links. */}}
{{- define "pythonpool.linkKeeper" -}}
{{ if .Values.links.secretName }}user{{ else if .Values.links.certManager.issuerRef }}cert-manager{{ else }}operator{{ end }}
{{- end }}

{{- /* What is left of a life when new ones are made must be enough for what follows. */}}
{{- define "pythonpool.checkLives" -}}
{{- if gt (mul 4 (int64 .overlapSeconds)) (int64 .certificateSeconds) }}
{{- fail "links.overlapSeconds must be at most a quarter of links.certificateSeconds" }}
{{- end }}
{{- if gt (mul 4 (int64 .certificateSeconds)) (int64 .authoritySeconds) }}
{{- fail "links.certificateSeconds must be at most a quarter of links.authoritySeconds" }}
{{- end }}
{{- end }}

{{- define "pythonpool.placement" -}}
{{- with .nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- /* No exec, no wildcards, of Secrets the one for links; what is deleted, its owner reference deletes. */}}
{{- define "pythonpool.operatorRules" }}
- apiGroups: [pythonpool.dev]
  resources: [pythonpools]
  verbs: [list, watch]
- apiGroups: [pythonpool.dev]
  resources: [pythonpools/status]
  verbs: [patch]
# Where an API server asks for it: objects that hold up the deletion of their owner.
- apiGroups: [pythonpool.dev]
  resources: [pythonpools/finalizers]
  verbs: [update]
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get, list, watch, create, patch]
- apiGroups: [""]
  resources: [serviceaccounts, configmaps]
  verbs: [get, list, watch, create, patch]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch]
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [get, list, watch, create, patch]
# patch: which pods go first, written just before there are fewer.
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch, patch]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create]
{{- if not .Values.links.authority }}
- apiGroups: [""]
  resources: [secrets]
  resourceNames: [{{ include "pythonpool.links" . }}]
  {{- if eq (include "pythonpool.linkKeeper" .) "operator" }}
  verbs: [get, patch]
  {{- else }}
  verbs: [get]
  {{- end }}
{{- end }}
{{- end }}
