{{- /* How many pods may go at a time when nodes are emptied. ($ and the part's name) */ -}}
{{- define "dropstream.budget" -}}
{{- $root := index . 0 -}}
{{- with (index $root.Values (index $ 1)).podDisruptionBudget }}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ include "dropstream.name" $root }}-{{ index $ 1 }}
  labels:
    {{- include "dropstream.labels" $ | nindent 4 }}
  {{- include "dropstream.annotations" (list $root) | nindent 2 }}
spec:
  {{- /* Kubernetes takes one of the two. */}}
  {{- toYaml (hasKey . "minAvailable" | ternary (omit . "maxUnavailable") .) | nindent 2 }}
  selector:
    matchLabels:
      {{- include "dropstream.selector" $ | nindent 6 }}
{{- end }}
{{- end -}}
