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

{{- /* KServe's kinds that are read, and written where it is asked for. */ -}}
{{- define "forescale.services" -}}
{{ ternary "[inferenceservices, llminferenceservices]" "[inferenceservices]" .Values.kserve.llm }}
{{- end }}

{{- define "forescale.policy" -}}
{{- $own := dict "leader" (dict "lease_name" (include "forescale.name" .)) "checkpoint" (dict "config_map" (printf "%s-state" (include "forescale.name" .))) "kserve" (dict "patch_revisions" .Values.kserve.patchRevisions) -}}
{{- if .Values.nodes.enabled }}
{{- $headroom := printf "%s-headroom" (include "forescale.name" .) }}
{{- $own = merge $own (dict "headroom" (dict "namespace" $headroom "priority_class" $headroom)) }}
{{- end }}
{{- $policy := mustMergeOverwrite $own (deepCopy .Values.policy) }}
{{- if not .Values.journal.enabled }}
{{- $policy = omit $policy "journal" }}
{{- else if not (hasPrefix "/var/lib/forescale/" (dig "journal" "path" "" $policy)) }}
{{- fail (printf "policy.journal.path: %q, must be a folder below /var/lib/forescale/, where the volume is; or set journal.enabled=false" (dig "journal" "path" "" $policy)) }}
{{- end }}
{{- if and .Values.nodes.enabled (not (dig "leader" "enabled" true $policy)) }}
{{- fail "policy.leader.enabled: false, must be true with nodes.enabled: without a Lease that is renewed the CronJob takes all headroom away every five minutes" }}
{{- end }}
{{- toYaml $policy }}
{{- end }}

{{- /* The claim that holds the journal; empty: none does. */ -}}
{{- define "forescale.journalClaim" -}}
{{- if hasKey .Values.journal "sizeLimit" -}}
{{- fail "journal.sizeLimit: is journal.size now" -}}
{{- end -}}
{{- if .Values.journal.enabled -}}
{{- if .Values.journal.existingClaim }}{{ .Values.journal.existingClaim }}{{ else if .Values.journal.persistent }}{{ include "forescale.name" . }}-journal{{ end -}}
{{- end -}}
{{- end }}

{{- /* true: the journal's claim can be mounted on one node only. */ -}}
{{- define "forescale.oneMount" -}}
{{- $mode := .Values.journal.accessMode -}}
{{- if not (has $mode (list "ReadWriteMany" "ReadWriteOnce" "ReadWriteOncePod")) -}}
{{- fail (printf "journal.accessMode: %q, must be ReadWriteMany, ReadWriteOnce or ReadWriteOncePod" $mode) -}}
{{- end -}}
{{- $one := and (include "forescale.journalClaim" .) (ne $mode "ReadWriteMany") -}}
{{- if and $one (gt (int .Values.replicas) 1) -}}
{{- fail (printf "journal.accessMode: %s with replicas %d: a second pod on another node would wait for the volume for ever, and nobody take over; set replicas=1, or name a storageClass with ReadWriteMany" $mode (int .Values.replicas)) -}}
{{- end -}}
{{- if $one }}true{{ end -}}
{{- end }}

{{- /* Where the policy lets it write replicas: `all` namespaces, or those of `names`. YAML's `off` is no text here. */ -}}
{{- define "forescale.scaledNamespaces" -}}
{{- $given := get .Values.policy "namespaces" | default dict -}}
{{- $every := get $given "*" | default dict -}}
{{- $allow := dig "allow" true $every -}}
{{- $most := dig "max_mode" "auto" $every | toString -}}
{{- $names := list -}}
{{- $watched := include "forescale.watched" . | fromJsonArray -}}
{{- range $name := $watched | default (keys $given | sortAlpha) -}}
{{- $own := get $given $name | default dict -}}
{{- if and (ne $name "*") (dig "allow" $allow $own) (eq (dig "max_mode" $most $own | toString) "auto") -}}
{{- $names = append $names $name -}}
{{- end -}}
{{- end -}}
{{- $all := and $allow (eq $most "auto") (not $watched) -}}
{{- dict "all" $all "names" ($all | ternary list $names) | toJson -}}
{{- end }}

{{- /* The namespaces that are watched alone, as JSON; none: the whole cluster is. */ -}}
{{- define "forescale.watched" -}}
{{- $names := get (get .Values.policy "kubernetes" | default dict) "watch_namespaces" | default list -}}
{{- range $part := list "nodes" "slices" -}}
{{- if and $names (get $.Values $part).enabled -}}
{{- fail (printf "%s.enabled: must be false with policy.kubernetes.watch_namespaces: whose pods hold the GPUs of a node is not seen then" $part) -}}
{{- end -}}
{{- end -}}
{{- if and $names .Values.templates.namespaces -}}
{{- fail "templates.namespaces: must be empty with policy.kubernetes.watch_namespaces: no slice is looked at then" -}}
{{- end -}}
{{- $names | toJson -}}
{{- end }}
