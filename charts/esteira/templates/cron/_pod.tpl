{{/*
The pod of a tick, as the control plane reads it. Its relay leaves the lanes of others alone: it would take them from one
that stays, to give them up a second later. And nobody asks whether it is ready.
*/}}
{{- define "esteira.cron.pod" -}}
{{- $settings := .Values.cron -}}
{{- $of := dict "context" . "component" "cron-job" "settings" $settings "job" true -}}
{{- $container := include "esteira.container" (merge (dict
  "name" "cron-job"
  "image" (include "esteira.image" . | fromYaml)
  "args" (list "--max-semi-space-size=4" "/app/workers/cron-job/dist/main.js")
  "env" (include "esteira.cron.env" $of)
) $of) -}}
{{- include "esteira.podTemplate" (merge (dict
  "serviceAccount" (include "esteira.serviceAccountName" (dict "context" . "suffix" "cron-job" "serviceAccount" $settings.serviceAccount))
  "container" $container
  "ownSeconds" $settings.gracePeriodSeconds
  "relay" (dict "relay" (dict "adopt" "no") "readiness" (dict "enabled" false))
) $of) -}}
{{- end }}

{{/* The text of the file that it is read from, whose digest says that it is the one of this rollout. */}}
{{- define "esteira.cron.podJson" -}}
{{- include "esteira.cron.pod" . | fromYaml | toPrettyJson -}}
{{- end }}

{{/*
The key of a tick is the name of its Job: a second pod of the Job changes nothing, nor does a second release on the same
database, in whatever namespace, whose CronJob of that step has the same name.
*/}}
{{- define "esteira.cron.env" -}}
- name: JOB_NAME
  valueFrom:
    fieldRef:
      fieldPath: metadata.labels['batch.kubernetes.io/job-name']
- name: ESTEIRA_TICK_KEY
  value: job/$(JOB_NAME)
{{ include "esteira.databaseEnv" . }}
{{- end }}
