{{/* The values of the sidecar, as YAML: those of the chart, with the argument's own before them. */}}
{{- define "outbox-relay.values" -}}
{{- $context := .context | default . -}}
{{- $of := get $context.Values "outbox-relay" -}}
{{- if not $of }}
{{- fail "the chart outbox-relay has to be among the dependencies, under its own name" }}
{{- end }}
{{- mustMergeOverwrite (deepCopy $of) (deepCopy (.values | default dict)) | toYaml -}}
{{- end }}

{{/* The name of an image: by its digest, else by its tag. */}}
{{- define "outbox-relay.image" -}}
{{- if .digest -}}
{{- printf "%s@%s" .repository .digest -}}
{{- else -}}
{{- printf "%s:%s" .repository .tag -}}
{{- end -}}
{{- end }}

{{/* The `valueFrom` of a variable whose value a Secret holds. `path` is where the values name it. */}}
{{- define "outbox-relay.secretKeyRef" -}}
valueFrom:
  secretKeyRef:
    name: {{ required (printf "%s.name: the Secret that holds it has to be named" .path) .ref.name | quote }}
    key: {{ required (printf "%s.key: the key of the Secret has to be named" .path) .ref.key | quote }}
{{- end }}

{{/* A value as the text of a variable. Helm reads numbers as floats, which would be written as 3.6e+06. */}}
{{- define "outbox-relay.text" -}}
{{- if and (kindIs "float64" .) (eq (floor .) .) -}}
{{- int64 . -}}
{{- else -}}
{{- toString . -}}
{{- end -}}
{{- end }}

{{/* Not empty for a variable of the relay whose value has a secret in it. */}}
{{- define "outbox-relay.isSecret" -}}
{{- regexFind "^(DATABASE_URL|RABBITMQ_URL|OTEL_.*_HEADERS)$" . -}}
{{- end }}
