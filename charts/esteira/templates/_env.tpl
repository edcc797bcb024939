{{/*
The variables of a main container: those of its component (`of.env`), what all have, and those of the values. Of the last,
none may be set twice, and none with a secret in it be written out.
*/}}
{{- define "esteira.env" -}}
{{- $context := .of.context -}}
{{- $settings := .of.settings -}}
{{- $plain := mustMerge (deepCopy ($settings.env | default dict)) .pods.env -}}
{{- $secret := mustMerge (deepCopy ($settings.secretEnv | default dict)) .pods.secretEnv -}}
{{- $ours := list -}}
{{- $text := printf "%s\n%s" .of.env (include "esteira.commonEnv" $context) -}}
{{- range fromYamlArray $text }}
{{- $ours = append $ours .name }}
{{- end }}
{{- range $name := concat (keys $plain) (keys $secret) | sortAlpha }}
{{- if has $name $ours }}
{{- fail (printf "%s: the chart sets it by itself, by a value of its own" $name) }}
{{- end }}
{{- if and (hasKey $plain $name) (hasKey $secret $name) }}
{{- fail (printf "%s: it is in `env` and in `secretEnv`" $name) }}
{{- end }}
{{- end -}}
{{- .of.env }}
{{ include "esteira.commonEnv" $context }}
{{- range $name, $value := $plain }}
{{- if include "esteira.isSecret" $name }}
{{- fail (printf "%s: what it holds is secret; name the Secret in `secretEnv`" $name) }}
{{- end }}
- name: {{ $name | quote }}
  value: {{ include "outbox-relay.text" $value | quote }}
{{- end }}
{{- range $name, $ref := $secret }}
- name: {{ $name | quote }}
  {{- include "outbox-relay.secretKeyRef" (dict "ref" $ref "path" (printf "secretEnv.%s" $name)) | nindent 2 }}
{{- end }}
{{- end }}

{{/* What every program reads. */}}
{{- define "esteira.commonEnv" -}}
- name: ESTEIRA_LOG_LEVEL
  value: {{ .Values.logLevel }}
{{- if not (kindIs "invalid" .Values.maxPayloadBytes) }}
- name: ESTEIRA_MAX_PAYLOAD_BYTES
  value: {{ int64 .Values.maxPayloadBytes | quote }}
{{- end }}
{{- range $name, $value := include "esteira.traceEnv" . | fromYaml }}
- name: {{ $name | quote }}
  value: {{ include "outbox-relay.text" $value | quote }}
{{- end }}
{{- range $name, $ref := include "esteira.traceSecretEnv" . | fromYaml }}
- name: {{ $name | quote }}
  {{- include "outbox-relay.secretKeyRef" (dict "ref" $ref "path" "telemetry.headers.secret") | nindent 2 }}
{{- end }}
{{- end }}

{{/* The variables of OpenTelemetry, as a map; none without an endpoint, and then nothing may be said of them. */}}
{{- define "esteira.traceEnv" -}}
{{- with .Values.telemetry -}}
{{- if not .endpoint }}
{{- range $name, $value := merge (dict "headers" .headers.secret.name) (omit . "endpoint" "headers") }}
{{- if $value }}
{{- fail (printf "telemetry.%s: without telemetry.endpoint it would not be used" $name) }}
{{- end }}
{{- end }}
{{- end -}}
{{- if .endpoint -}}
{{- $env := dict "OTEL_EXPORTER_OTLP_ENDPOINT" .endpoint -}}
{{- with .protocol }}{{ $_ := set $env "OTEL_EXPORTER_OTLP_PROTOCOL" . }}{{ end -}}
{{- with .sampler }}{{ $_ := set $env "OTEL_TRACES_SAMPLER" . }}{{ end -}}
{{- if ne (toString .samplerArg) "" }}{{ $_ := set $env "OTEL_TRACES_SAMPLER_ARG" (include "outbox-relay.text" .samplerArg) }}{{ end -}}
{{- $attributes := list -}}
{{- range $name, $value := .resourceAttributes }}
{{- $attributes = append $attributes (printf "%s=%s" $name (include "outbox-relay.text" $value | urlquery | replace "+" "%20")) }}
{{- end -}}
{{- with $attributes }}{{ $_ := set $env "OTEL_RESOURCE_ATTRIBUTES" (join "," .) }}{{ end -}}
{{- range $name, $value := .env }}
{{- if hasSuffix "_HEADERS" $name }}
{{- fail (printf "telemetry.env.%s: what it holds is secret; name the Secret in `telemetry.headers.secret`" $name) }}
{{- end }}
{{- if hasKey $env $name }}
{{- fail (printf "telemetry.env.%s: the chart sets it by itself, by a value of its own" $name) }}
{{- end }}
{{- end -}}
{{- mustMerge $env .env | toYaml -}}
{{- else -}}
{}
{{- end -}}
{{- end -}}
{{- end }}

{{- define "esteira.traceSecretEnv" -}}
{{- with .Values.telemetry -}}
{{- if and .endpoint .headers.secret.name -}}
OTEL_EXPORTER_OTLP_HEADERS: {{ toJson .headers.secret }}
{{- else -}}
{}
{{- end -}}
{{- end -}}
{{- end }}

{{/* Not empty for a variable whose value has a secret in it. */}}
{{- define "esteira.isSecret" -}}
{{- include "outbox-relay.isSecret" . -}}
{{- regexFind "^(ESTEIRA_ADMIN_TOKEN|RDSTATION_CLIENT_SECRET|RDSTATION_REFRESH_TOKEN|ESTEIRA_CONNECTION_.*|ESTEIRA_SECRET_.*)$" . -}}
{{- end }}

{{/* The variable with the database's address: of the component's own role, or of all. `path` is that of the component. */}}
{{- define "esteira.databaseEnv" -}}
{{- $own := .settings.database.secret -}}
- name: DATABASE_URL
  {{- if $own.name }}
  {{- include "outbox-relay.secretKeyRef" (dict "ref" $own "path" "database.secret") | nindent 2 }}
  {{- else }}
  {{- include "outbox-relay.secretKeyRef" (dict "ref" .context.Values.database.secret "path" "database.secret") | nindent 2 }}
  {{- end }}
{{- end }}

{{/* The lane that the main container writes to and the relay beside it carries: it is named as the pod is. */}}
{{- define "esteira.laneEnv" -}}
{{- include "outbox-relay.laneEnv" dict }}
{{- end }}
