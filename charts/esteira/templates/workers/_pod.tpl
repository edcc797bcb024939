{{- define "esteira.worker.pod" -}}
{{- $settings := .settings -}}
{{- $context := .context -}}
{{- $image := dict -}}
{{- $args := $settings.args -}}
{{- if $settings.image.repository }}
{{- $image = $settings.image }}
{{- if not (or $image.tag $image.digest) }}
{{- fail (printf "workers.%s.image: a tag or a digest has to be given" .worker) }}
{{- end }}
{{- else }}
{{- $image = include "esteira.image" $context | fromYaml }}
{{- if not (or $args $settings.command) }}
{{- $args = list (printf "/app/workers/%s/src/main.ts" $settings.program) }}
{{- end }}
{{- end -}}
{{- $volumes := list -}}
{{- $mounts := list -}}
{{- if $settings.secrets }}
{{- $volumes = include "esteira.worker.volumes" $settings | fromYamlArray }}
{{- $mounts = list (dict "name" "secrets" "mountPath" "/run/secrets/esteira" "readOnly" true) }}
{{- end -}}
{{- $container := include "esteira.container" (merge (dict
  "name" "worker"
  "image" $image
  "command" $settings.command
  "args" $args
  "env" (include "esteira.worker.env" .)
  "ports" (dict "health" $settings.health.port)
  "more" (include "esteira.worker.probes" $settings)
  "volumeMounts" $mounts
) .) -}}
{{- include "esteira.podTemplate" (merge (dict
  "serviceAccount" (include "esteira.serviceAccountName" (dict "context" $context "suffix" .suffix "serviceAccount" $settings.serviceAccount))
  "container" $container
  "ownSeconds" $settings.gracePeriodSeconds
  "volumes" $volumes
) .) -}}
{{- end }}

{{- define "esteira.worker.env" -}}
{{- $settings := .settings -}}
{{- include "esteira.databaseEnv" . }}
- name: RABBITMQ_URL
  {{- include "outbox-relay.secretKeyRef" (dict "ref" .context.Values.rabbitmq.secret "path" "rabbitmq.secret") | nindent 2 }}
{{ include "esteira.laneEnv" . }}
- name: ESTEIRA_HEALTH_HOST
  value: {{ $settings.health.host | quote }}
- name: ESTEIRA_HEALTH_PORT
  value: {{ int64 $settings.health.port | quote }}
- name: ESTEIRA_GRACE_MS
  value: {{ mul $settings.gracePeriodSeconds 1000 | quote }}
{{- if not (kindIs "invalid" $settings.prefetch) }}
- name: ESTEIRA_PREFETCH
  value: {{ int64 $settings.prefetch | quote }}
{{- end }}
{{- if not (kindIs "invalid" $settings.stallMs) }}
- name: ESTEIRA_STALL_MS
  value: {{ int64 $settings.stallMs | quote }}
{{- end }}
{{- if $settings.secrets }}
- name: ESTEIRA_SECRETS_DIR
  value: /run/secrets/esteira
{{- end }}
{{- range $name, $ref := $settings.connections }}
- name: ESTEIRA_CONNECTION_{{ $name | upper }}
  {{- include "outbox-relay.secretKeyRef" (dict "ref" $ref "path" (printf "connections.%s" $name)) | nindent 2 }}
{{- end }}
{{- end }}

{{/* Ready is a worker that takes jobs, so one that reaches RabbitMQ. Nothing is sent to it; a rollout waits for it. */}}
{{- define "esteira.worker.probes" -}}
# It answers once its modules are loaded, whether Postgres and RabbitMQ are there or not.
startupProbe:
  httpGet:
    path: /healthz
    port: health
  periodSeconds: 2
  timeoutSeconds: 5
  failureThreshold: {{ max 1 (div .startupSeconds 2) }}
readinessProbe:
  httpGet:
    path: /readyz
    port: health
  periodSeconds: 5
  timeoutSeconds: 5
# A function that keeps the event loop is for the worker to end, which then says which it was.
livenessProbe:
  httpGet:
    path: /healthz
    port: health
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: {{ add 3 (div (.stallMs | default 30000 | int64) 10000) }}
{{- end }}

{{- define "esteira.worker.volumes" -}}
- name: secrets
  projected:
    sources:
      {{- range .secrets }}
      - secret:
          name: {{ . | quote }}
      {{- end }}
{{- end }}
