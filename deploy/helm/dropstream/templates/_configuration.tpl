{{- /* A value of YAML as TOML; not by `toToml`, which writes every whole number with a fraction. */ -}}
{{- define "dropstream.toml.value" -}}
{{- if kindIs "map" . -}}
{ {{- range $index, $key := keys . | sortAlpha }}{{ if $index }},{{ end }} {{ $key | quote }} = {{ include "dropstream.toml.value" (index $ $key) }}{{ end }} }
{{- else if kindIs "slice" . -}}
[{{ range $index, $one := . }}{{ if $index }}, {{ end }}{{ include "dropstream.toml.value" $one }}{{ end }}]
{{- else if and (kindIs "string" .) (regexMatch "^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d(\\.\\d+)?(Z|[+-]\\d\\d:\\d\\d)$" .) -}}
{{ . }}
{{- else -}}
{{ toRawJson . }}
{{- end -}}
{{- end -}}

{{- define "dropstream.toml.table" -}}
{{- range $key := keys . | sortAlpha }}
{{- if not (kindIs "invalid" (index $ $key)) }}
{{ $key }} = {{ include "dropstream.toml.value" (index $ $key) }}
{{- end }}
{{- end }}
{{- end -}}

{{- /* dropstream.toml of all parts. What the chart knows better stands over what the values say. */ -}}
{{- define "dropstream.configuration" -}}
{{- $settings := .Values.settings -}}
{{- $ingest := dict "host" "0.0.0.0" "port" 8080 "admin_host" "0.0.0.0" "admin_port" 8081 "spool_dir" "/var/lib/dropstream/spool" -}}
{{- $process := dict "admin_host" "0.0.0.0" "admin_port" 8082 "state_dir" "/var/lib/dropstream/state" -}}
{{- $reconcile := dict "admin_host" "0.0.0.0" "admin_port" 8084 -}}
{{- range $key := list "log_level" "log_format" }}
{{- with index $settings $key }}
{{ $key }} = {{ . | quote }}
{{- end }}
{{- end }}

[kafka]
{{- include "dropstream.toml.table" ($settings.kafka | default dict) }}

[ingest]
{{- include "dropstream.toml.table" (mergeOverwrite (deepCopy ($settings.ingest | default dict)) $ingest) }}

[process]
{{- include "dropstream.toml.table" (mergeOverwrite (deepCopy ($settings.process | default dict)) $process) }}

[sequence]
{{- include "dropstream.toml.table" ($settings.sequence | default dict) }}

[reconcile]
{{- include "dropstream.toml.table" (mergeOverwrite (deepCopy ($settings.reconcile | default dict)) $reconcile) }}

[console]
{{- include "dropstream.toml.table" ($settings.console | default dict) }}
{{- range $name := keys ($settings.shipstream | default dict) | sortAlpha }}

[shipstream.{{ $name | quote }}]
{{- include "dropstream.toml.table" (index $settings.shipstream $name) }}
{{- end }}
{{- range $name := keys ($settings.endpoints | default dict) | sortAlpha }}

[endpoints.{{ $name | quote }}]
{{- include "dropstream.toml.table" (index $settings.endpoints $name) }}
{{- end }}
{{ end -}}

{{- /* Seconds between a pod's first word of its end and its last: what is promised to it, and some more. */ -}}
{{- define "dropstream.ingestGrace" -}}
{{- $answer := div (int ((.Values.settings.ingest).stop_grace_ms | default 10000)) 1000 -}}
{{- add .Values.ingest.drain.settleSeconds .Values.ingest.drain.timeoutSeconds $answer 15 -}}
{{- end -}}

{{- define "dropstream.processGrace" -}}
{{- add (div (int ((.Values.settings.process).transaction_timeout_ms | default 9000)) 1000) 12 15 -}}
{{- end -}}
