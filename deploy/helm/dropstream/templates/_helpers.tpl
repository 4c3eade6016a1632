{{- define "dropstream.name" -}}
{{- $chart := .Values.nameOverride | default "dropstream" -}}
{{- if .Values.fullnameOverride }}{{ .Values.fullnameOverride | trunc 40 | trimSuffix "-" }}
{{- else if contains $chart .Release.Name }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else }}{{ printf "%s-%s" .Release.Name $chart | trunc 40 | trimSuffix "-" }}{{ end -}}
{{- end -}}

{{- /* The part's own labels, by which it is selected; they never change. ($ and the part's name) */ -}}
{{- define "dropstream.selector" -}}
app.kubernetes.io/name: dropstream
app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{- define "dropstream.labels" -}}
{{ include "dropstream.selector" . }}
app.kubernetes.io/version: {{ (index . 0).Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ (index . 0).Release.Service }}
helm.sh/chart: {{ (index . 0).Chart.Name }}-{{ (index . 0).Chart.Version }}
{{- with (index . 0).Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- /* Annotations of an object; nothing where there are none. ($ and any number of maps, the later over the earlier) */ -}}
{{- define "dropstream.annotations" -}}
{{- $all := deepCopy ((index . 0).Values.commonAnnotations | default dict) -}}
{{- /* A key of the values without anything behind it is null. */ -}}
{{- range rest . }}{{ with . }}{{ $all = mergeOverwrite $all (deepCopy .) }}{{ end }}{{ end -}}
{{- with $all -}}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "dropstream.hook" -}}
helm.sh/hook: {{ if .Values.topics.strimzi.enabled }}post-install,post-upgrade{{ else }}pre-install,pre-upgrade{{ end }}
{{- end -}}

{{- define "dropstream.image" -}}
{{- with .Values.image -}}
{{- if .digest }}{{ .repository }}@{{ .digest }}{{ else }}{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}{{ end -}}
{{- end -}}
{{- end -}}

{{- define "dropstream.account" -}}
{{- .Values.serviceAccount.name | default (ternary (include "dropstream.name" .) "default" .Values.serviceAccount.create) -}}
{{- end -}}

{{- /* The kinds of Secrets that a part is given. ($, whether it may know what signs deliveries) */ -}}
{{- define "dropstream.secretKinds" -}}
{{- $secrets := (index . 0).Values.secrets -}}
{{- if and (index . 1) $secrets.signing }}signing {{ end }}{{ if $secrets.tokens }}tokens {{ end }}{{ if $secrets.kafka }}kafka{{ end -}}
{{- end -}}

{{- /* Configuration and secrets of a part. ($, the ConfigMap's name, whether it may know what signs deliveries, and where
it writes more than memory has room for: how much) */ -}}
{{- define "dropstream.volumes" -}}
{{- $root := index . 0 -}}
- name: configuration
  configMap:
    name: {{ index . 1 }}
- name: tmp
  emptyDir:
    {{- if gt (len .) 3 }}
    sizeLimit: {{ index . 3 }}
    {{- else }}
    medium: Memory
    sizeLimit: 64Mi
    {{- end }}
{{- range $kind := include "dropstream.secretKinds" (list $root (index . 2)) | splitList " " | compact }}
- name: {{ $kind }}
  secret:
    secretName: {{ index $root.Values.secrets $kind }}
    defaultMode: 0440
{{- end }}
{{- end -}}

{{- define "dropstream.mounts" -}}
- name: configuration
  mountPath: /etc/dropstream
  readOnly: true
- name: tmp
  mountPath: /tmp
{{- range $kind := include "dropstream.secretKinds" . | splitList " " | compact }}
- name: {{ $kind }}
  mountPath: /run/secrets/dropstream/{{ $kind }}
  readOnly: true
{{- end }}
{{- end -}}
