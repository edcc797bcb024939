{{/* What may reach a component: the API of the control plane, and for whom it is named the metrics. */}}
{{- define "esteira.ingressRules" -}}
{{- $policies := .context.Values.networkPolicies -}}
{{- $rules := list -}}
{{- if and (eq .component "control-plane") $policies.apiFrom }}
{{- $rules = append $rules (dict "from" $policies.apiFrom "ports" (list (dict "port" "http"))) }}
{{- end }}
{{- if and $policies.metricsFrom (ne .component "cron-job") }}
{{- /* The relay's by its number: network plugins look for names among the main containers, some of them nowhere else. */}}
{{- $relay := (get .context.Values "outbox-relay").health.port | int64 }}
{{- $ports := list (dict "port" $relay) (dict "port" (eq .component "worker" | ternary "health" "http")) }}
{{- $rules = append $rules (dict "from" $policies.metricsFrom "ports" $ports) }}
{{- end }}
{{- toYaml $rules -}}
{{- end }}
