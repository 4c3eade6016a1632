{{- define "dropstream.name" -}}
{{- if contains "dropstream" .Release.Name }}{{ .Release.Name }}{{ else }}{{ .Release.Name }}-dropstream{{ end -}}
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
{{- end -}}

{{- define "dropstream.image" -}}
{{- with .Values.image -}}
{{- if .digest }}{{ .repository }}@{{ .digest }}{{ else }}{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}{{ end -}}
{{- end -}}
{{- end -}}

{{- /* What every pod is forbidden, and who it runs as: the image's own user. */ -}}
{{- define "dropstream.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "dropstream.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
privileged: false
capabilities:
  drop: [ALL]
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

{{- /* Spread over nodes, so that one that is lost takes one pod with it. ($ and the part's name) */ -}}
{{- define "dropstream.spread" -}}
- maxSkew: 1
  topologyKey: kubernetes.io/hostname
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels:
      {{- include "dropstream.selector" . | nindent 6 }}
{{- end -}}

{{- define "dropstream.placement" -}}
{{- with .nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}
