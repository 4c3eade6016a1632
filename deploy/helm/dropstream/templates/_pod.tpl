{{- /* What the pods of every part have alike. Each is given $ and the part's name, which is also that of its values. */ -}}

{{- /* Labels and annotations of the pods. A pod starts again when its configuration is another. */ -}}
{{- define "dropstream.podMetadata" -}}
{{- $root := index . 0 -}}
{{- $part := index $root.Values (index . 1) -}}
labels:
  {{- include "dropstream.labels" . | nindent 2 }}
  {{- with $part.podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
annotations:
  dropstream/configuration: {{ include "dropstream.configuration" $root | sha256sum }}
  {{- with $part.podAnnotations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{- /* Who the pods are, what they may not do, and where they run. */ -}}
{{- define "dropstream.pod" -}}
{{- $root := index . 0 -}}
{{- $part := index $root.Values (index . 1) -}}
{{- /* Of a hook before the release, an account that the release makes is not there yet. */ -}}
{{- if or (ne (index . 1) "topics") (not $root.Values.serviceAccount.create) $root.Values.topics.strimzi.enabled }}
serviceAccountName: {{ include "dropstream.account" $root }}
{{- end }}
automountServiceAccountToken: false
# Variables of services would be taken for settings where a release is called `dropstream`.
enableServiceLinks: false
{{- with $part.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- if not (kindIs "invalid" $part.hostUsers) }}
hostUsers: {{ $part.hostUsers }}
{{- end }}
{{- with $root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  {{- $forbidden := dict "runAsNonRoot" true "runAsUser" 10001 "runAsGroup" 10001 "fsGroup" 10001 "fsGroupChangePolicy" "OnRootMismatch" "seccompProfile" (dict "type" "RuntimeDefault") }}
  {{- toYaml (mergeOverwrite $forbidden (deepCopy ($part.podSecurityContext | default dict))) | nindent 2 }}
{{- with $part.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $part.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $part.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- if hasKey $part "topologySpreadConstraints" }}
topologySpreadConstraints:
  {{- include "dropstream.spread" . | nindent 2 }}
{{- end }}
{{- with $part.initContainers }}
initContainers:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- /* Over nodes and zones, so that one that is lost takes few pods with it; or as the values say. */ -}}
{{- define "dropstream.spread" -}}
{{- $selector := dict "matchLabels" (include "dropstream.selector" . | fromYaml) -}}
{{- $given := (index (index . 0).Values (index . 1)).topologySpreadConstraints -}}
{{- if not $given -}}
{{- range $key := list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
{{- $given = append $given (dict "maxSkew" 1 "topologyKey" $key "whenUnsatisfiable" "ScheduleAnyway") }}
{{- end -}}
{{- end -}}
{{- range $one := $given }}
- {{ toYaml (merge (dict) $one (dict "labelSelector" $selector)) | nindent 2 | trim }}
{{- end }}
{{- end -}}

{{- /* Image, rights, resources and further variables of the container. */ -}}
{{- define "dropstream.container" -}}
{{- $root := index . 0 -}}
{{- $part := index $root.Values (index . 1) -}}
image: {{ include "dropstream.image" $root }}
imagePullPolicy: {{ $root.Values.image.pullPolicy }}
securityContext:
  {{- $forbidden := dict "allowPrivilegeEscalation" false "readOnlyRootFilesystem" true "privileged" false "capabilities" (dict "drop" (list "ALL")) }}
  {{- toYaml (mergeOverwrite $forbidden (deepCopy ($part.securityContext | default dict))) | nindent 2 }}
{{- with $part.extraEnvFrom }}
envFrom:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- /* `startup`, `liveness` or `readiness` with the keys of the values over it. ($, part, name, the probe's own text) */ -}}
{{- define "dropstream.probe" -}}
{{- $own := index . 3 | fromYaml -}}
{{- $given := get ((index (index . 0).Values (index . 1)).probes | default dict) (index . 2) | default dict -}}
{{ index . 2 }}Probe:
  {{- toYaml (mergeOverwrite $own (deepCopy $given)) | nindent 2 }}
{{- end -}}
