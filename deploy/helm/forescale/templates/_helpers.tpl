{{- define "forescale.labels" -}}
app.kubernetes.io/name: forescale
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "forescale.selector" -}}
app.kubernetes.io/name: forescale
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- /* Two releases must not share a lease, nor a cluster role. */ -}}
{{- define "forescale.name" -}}
{{- if contains "forescale" .Release.Name }}{{ .Release.Name }}{{ else }}{{ printf "%s-forescale" .Release.Name }}{{ end }}
{{- end }}

{{- define "forescale.policy" -}}
{{- $own := dict "leader" (dict "lease_name" (include "forescale.name" .)) "checkpoint" (dict "config_map" (printf "%s-state" (include "forescale.name" .))) "kserve" (dict "patch_revisions" .Values.kserve.patchRevisions) -}}
{{- if .Values.nodes.enabled }}
{{- $headroom := printf "%s-headroom" (include "forescale.name" .) }}
{{- $own = merge $own (dict "headroom" (dict "namespace" $headroom "priority_class" $headroom)) }}
{{- end }}
{{- toYaml (mustMergeOverwrite $own (deepCopy .Values.policy)) }}
{{- end }}
