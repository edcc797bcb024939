{{- define "esteira.pdb" -}}
{{- with .settings.podDisruptionBudget -}}
{{- if .enabled -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  {{- include "esteira.metadata" $ | nindent 2 }}
spec:
  maxUnavailable: {{ .maxUnavailable }}
  # Pods that are not ready, while RabbitMQ is away for example, must not keep a node from being drained.
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      {{- include "esteira.selectorLabels" $ | nindent 6 }}
{{- end }}
{{- end }}
{{- end }}
