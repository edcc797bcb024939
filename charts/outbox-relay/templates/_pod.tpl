{{/*
Variables for the container that writes to the outbox: the lane that the relay beside it carries. Without them a program
writes to the lane `default`, which any relay carries. The argument is that of the sidecar.
*/}}
{{- define "outbox-relay.laneEnv" -}}
{{- if not (hasKey . "lane") -}}
- name: ESTEIRA_LANE
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
{{- else if .lane -}}
- name: ESTEIRA_LANE
  value: {{ .lane | quote }}
{{- end }}
{{- end }}

{{/*
The `terminationGracePeriodSeconds` of a pod with the sidecar: what the other containers take (`own`, 30 unless given),
then what the relay takes, and 10 s between. One period is for both, one after the other.
*/}}
{{- define "outbox-relay.terminationGracePeriodSeconds" -}}
{{- $values := include "outbox-relay.values" . | fromYaml -}}
{{- add (dig "own" 30 (omit . "Values" "context" "values")) $values.gracePeriodSeconds 10 -}}
{{- end }}

{{/* An item of a PodMonitor's `podMetricsEndpoints`. */}}
{{- define "outbox-relay.podMetricsEndpoint" -}}
- port: relay-health
  path: /metrics
{{- end }}
