{{/*
The relay as a native sidecar, an item of the `initContainers` of a pod of any kind:

  initContainers:
    {{- include "outbox-relay.initContainer" . | nindent 8 }}

The argument is the context of the chart, whose values say `outbox-relay`, or a dict:

  context  that of the chart
  values   what goes before `outbox-relay` in its values
  lane     the lane that the relay carries; unless given that of the pod, named as the pod is.
           Empty, the variable is left out, for whoever makes the pod to add
*/}}
{{- define "outbox-relay.initContainer" -}}
{{- $values := include "outbox-relay.values" . | fromYaml -}}
{{- $health := $values.health -}}
- name: outbox-relay
  image: {{ include "outbox-relay.image" $values.image | quote }}
  {{- with $values.image.pullPolicy }}
  imagePullPolicy: {{ . }}
  {{- end }}
  # A sidecar: it starts before the containers of the pod, and is asked to end when they have ended.
  restartPolicy: Always
  env:
    {{- include "outbox-relay.env" (dict "of" . "values" $values) | nindent 4 }}
  ports:
    - name: relay-health
      containerPort: {{ $health.port }}
  # The others start when this one answers, which needs neither Postgres nor RabbitMQ. A Job could otherwise end before the
  # relay, the first process of its container, hears signals: it would be told to end, not notice, and be killed at last.
  startupProbe:
    httpGet:
      path: /healthz
      port: relay-health
    periodSeconds: 1
    timeoutSeconds: 5
    failureThreshold: 60
  {{- if $values.readiness.enabled }}
  readinessProbe:
    httpGet:
      path: /readyz
      port: relay-health
    periodSeconds: 5
    timeoutSeconds: 5
  {{- end }}
  livenessProbe:
    httpGet:
      path: /healthz
      port: relay-health
    periodSeconds: 10
    timeoutSeconds: 5
    failureThreshold: 6
  resources:
    {{- toYaml $values.resources | nindent 4 }}
  securityContext:
    {{- toYaml $values.securityContext | nindent 4 }}
  # A start that is refused says why on its last lines.
  terminationMessagePolicy: FallbackToLogsOnError
  {{- with $values.volumeMounts }}
  volumeMounts:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}

{{/* The variables that the chart sets, by the values that there are for them. */}}
{{- define "outbox-relay.ownEnv" -}}
{{- $values := .values -}}
- name: DATABASE_URL
  {{- include "outbox-relay.secretKeyRef" (dict "ref" $values.database.secret "path" "outbox-relay.database.secret") | nindent 2 }}
- name: RABBITMQ_URL
  {{- include "outbox-relay.secretKeyRef" (dict "ref" $values.rabbitmq.secret "path" "outbox-relay.rabbitmq.secret") | nindent 2 }}
{{- include "outbox-relay.laneEnv" .of | nindent 0 }}
- name: ESTEIRA_HEALTH_HOST
  value: {{ $values.health.host | quote }}
- name: ESTEIRA_HEALTH_PORT
  value: {{ $values.health.port | int64 | quote }}
- name: ESTEIRA_GRACE_MS
  value: {{ mul $values.gracePeriodSeconds 1000 | quote }}
{{- with $values.logLevel }}
- name: ESTEIRA_LOG_LEVEL
  value: {{ . }}
{{- end }}
{{- with $values.relay.adopt }}
- name: ESTEIRA_RELAY_ADOPT
  value: {{ . | quote }}
{{- end }}
{{- $limits := dict "parkAfter" "PARK_AFTER" "confirmDeadlineMs" "CONFIRM_DEADLINE_MS" "brokerDeadlineMs" "BROKER_DEADLINE_MS" }}
{{- $numbers := dict "pollMs" "POLL_MS" "window" "WINDOW" "retryMs" "RETRY_MS" "retryCapMs" "RETRY_CAP_MS" | merge $limits }}
{{- range $key, $suffix := $numbers }}
{{- $number := index $values.relay $key }}
{{- if not (kindIs "invalid" $number) }}
- name: ESTEIRA_RELAY_{{ $suffix }}
  value: {{ $number | int64 | quote }}
{{- end }}
{{- end }}
{{- end }}

{{/*
All of them: those, and what `env` and `secretEnv` have beside them. No name may come twice, since Kubernetes takes the last
one or refuses the pod, and no secret be written out.
*/}}
{{- define "outbox-relay.env" -}}
{{- $values := .values -}}
{{- $own := include "outbox-relay.ownEnv" . -}}
{{- $ours := list "ESTEIRA_LANE" -}}
{{- range fromYamlArray $own }}
{{- $ours = append $ours .name }}
{{- end }}
{{- range $name := concat (keys $values.env) (keys $values.secretEnv) | sortAlpha }}
{{- if has $name $ours }}
{{- fail (printf "outbox-relay: %s: the chart sets it by itself, by a value of its own" $name) }}
{{- end }}
{{- if and (hasKey $values.env $name) (hasKey $values.secretEnv $name) }}
{{- fail (printf "outbox-relay: %s: it is in `env` and in `secretEnv`" $name) }}
{{- end }}
{{- end -}}
{{- $own }}
{{- range $name, $value := $values.env }}
{{- if include "outbox-relay.isSecret" $name }}
{{- fail (printf "outbox-relay.env.%s: what it holds is secret; name the Secret in `secretEnv`" $name) }}
{{- end }}
- name: {{ $name | quote }}
  value: {{ include "outbox-relay.text" $value | quote }}
{{- end }}
{{- range $name, $ref := $values.secretEnv }}
- name: {{ $name | quote }}
  {{- include "outbox-relay.secretKeyRef" (dict "ref" $ref "path" (printf "outbox-relay.secretEnv.%s" $name)) | nindent 2 }}
{{- end }}
{{- end }}
