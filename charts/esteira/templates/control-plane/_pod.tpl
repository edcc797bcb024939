{{/*
Its relay always adopts: with it the rows of ticks and of pods that are gone have somebody who carries them, also where the
relays of workers are told to keep to their own.
*/}}
{{- define "esteira.controlPlane.pod" -}}
{{- $context := .context -}}
{{- if and (eq (int64 .settings.replicas) 0) (eq (get $context.Values "outbox-relay").relay.adopt "no") }}
{{- fail "outbox-relay.relay.adopt: with `no`, and without a control plane, nobody would carry what pods that are gone have left" }}
{{- end -}}
{{- $serviceAccount := include "esteira.serviceAccountName" (dict "context" $context "suffix" .suffix "serviceAccount" .settings.serviceAccount) -}}
{{- $volumes := list -}}
{{- $mounts := list -}}
{{- if $context.Values.cron.enabled }}
{{- $volumes = include "esteira.controlPlane.volumes" $context | fromYamlArray }}
{{- $mounts = include "esteira.controlPlane.mounts" $context | fromYamlArray }}
{{- end -}}
{{- $container := include "esteira.container" (merge (dict
  "name" "control-plane"
  "image" (include "esteira.image" $context | fromYaml)
  "args" (list "/app/control-plane/src/main.ts")
  "env" (include "esteira.controlPlane.env" .)
  "ports" (dict "http" .settings.port)
  "more" (include "esteira.controlPlane.probes" .settings)
  "volumeMounts" $mounts
) .) -}}
{{- include "esteira.podTemplate" (merge (dict
  "serviceAccount" $serviceAccount
  "container" $container
  "ownSeconds" (add .settings.preStopSeconds .settings.gracePeriodSeconds)
  "volumes" $volumes
  "relay" (dict "relay" (dict "adopt" "yes"))
) .) -}}
{{- end }}

{{- define "esteira.controlPlane.env" -}}
{{- $context := .context -}}
{{- $fullname := include "esteira.fullname" $context -}}
{{- $token := $context.Values.adminToken.secret -}}
{{- include "esteira.databaseEnv" . }}
{{ include "esteira.laneEnv" . }}
- name: ESTEIRA_ADMIN_TOKEN
  {{- include "outbox-relay.secretKeyRef" (dict "ref" $token "path" "adminToken.secret") | nindent 2 }}
- name: ESTEIRA_HTTP_HOST
  value: {{ .settings.host | quote }}
- name: ESTEIRA_HTTP_PORT
  value: {{ int64 .settings.port | quote }}
- name: ESTEIRA_GRACE_MS
  value: {{ mul .settings.gracePeriodSeconds 1000 | quote }}
{{- if not (kindIs "invalid" .settings.consumerTimeoutMs) }}
- name: ESTEIRA_CONSUMER_TIMEOUT_MS
  value: {{ int64 .settings.consumerTimeoutMs | quote }}
{{- end }}
{{- if $context.Values.cron.enabled }}
- name: ESTEIRA_CRON
  value: kubernetes
- name: ESTEIRA_CRON_POD_TEMPLATE
  value: /etc/esteira/cron/pod.json
# It takes no other, so that an upgrade that cannot roll out changes no tick. A new one rolls it out anew.
- name: ESTEIRA_CRON_POD_TEMPLATE_SHA256
  value: {{ include "esteira.cron.podJson" $context | sha256sum | quote }}
- name: ESTEIRA_CRON_ANCHOR
  value: {{ $fullname }}-anchor
- name: ESTEIRA_CRON_NAMESPACE
  valueFrom:
    fieldRef:
      fieldPath: metadata.namespace
{{- else }}
- name: ESTEIRA_CRON
  value: 'off'
{{- end }}
{{- end }}

{{- define "esteira.controlPlane.probes" -}}
# The API answers once the migrations are done, or another pod has done them.
startupProbe:
  httpGet:
    path: /healthz
    port: http
  periodSeconds: 2
  timeoutSeconds: 5
  failureThreshold: {{ max 1 (div .startupSeconds 2) }}
readinessProbe:
  httpGet:
    path: /readyz
    port: http
  periodSeconds: 5
  timeoutSeconds: 5
livenessProbe:
  httpGet:
    path: /healthz
    port: http
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
{{- if .preStopSeconds }}
lifecycle:
  preStop:
    sleep:
      seconds: {{ int64 .preStopSeconds }}
{{- end }}
{{- end }}

{{/* The token goes to the container that uses it, not to the relay beside it. */}}
{{- define "esteira.controlPlane.volumes" -}}
- name: cron-pod
  configMap:
    name: {{ include "esteira.fullname" . }}-cron-pod
- name: api-access
  projected:
    sources:
      - serviceAccountToken:
          path: token
          expirationSeconds: 3607
      - configMap:
          name: kube-root-ca.crt
          items:
            - key: ca.crt
              path: ca.crt
      - downwardAPI:
          items:
            - path: namespace
              fieldRef:
                fieldPath: metadata.namespace
{{- end }}

{{- define "esteira.controlPlane.mounts" -}}
- name: cron-pod
  mountPath: /etc/esteira/cron
  readOnly: true
- name: api-access
  mountPath: /var/run/secrets/kubernetes.io/serviceaccount
  readOnly: true
{{- end }}
