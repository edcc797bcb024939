{{/* What may reach a component: the API of the control plane, and for whom it is named the metrics. */}}
{{- define "esteira.ingressRules" -}}
{{- $policies := .context.Values.networkPolicies -}}
{{- $rules := list -}}
{{- if and (eq .component "control-plane") $policies.apiFrom }}
{{- $rules = append $rules (dict "from" $policies.apiFrom "ports" (list (dict "port" "http"))) }}
{{- end }}
{{- if and $policies.metricsFrom (ne .component "cron-job") }}
{{- $ports := list "relay-health" (eq .component "worker" | ternary "health" "http") }}
{{- $named := list }}
{{- range $ports }}
{{- $named = append $named (dict "port" .) }}
{{- end }}
{{- $rules = append $rules (dict "from" $policies.metricsFrom "ports" $named) }}
{{- end }}
{{- toYaml $rules -}}
{{- end }}
