{{/* A worker's settings: `workerDefaults`, with its own before them, and what follows from its program. As YAML. */}}
{{- define "esteira.worker.settings" -}}
{{- $settings := mustMergeOverwrite (deepCopy .context.Values.workerDefaults) (deepCopy (.own | default dict)) -}}
{{- if $settings.image.repository }}
{{- if $settings.program }}
{{- fail (printf "workers.%s: it has an image of its own, so `program` would not be used" .worker) }}
{{- end }}
{{- else }}
{{- range $key, $value := dig "image" (dict) (.own | default dict) }}
{{- if $value }}
{{- fail (printf "workers.%s.image.%s: without a repository the image is that of all, so it would not be used" $.worker $key) }}
{{- end }}
{{- end }}
{{- $program := $settings.program | default .worker -}}
{{- $known := include "esteira.programs" . | fromYaml -}}
{{- if hasKey $known $program }}
{{- if $settings.functions }}
{{- fail (printf "workers.%s: the functions of %s are known, so `functions` would not be used" .worker $program) }}
{{- end }}
{{- $_ := set $settings "functions" (get $known $program).functions }}
{{- range (get $known $program).needs }}
{{- if not (or (hasKey $settings.env .) (hasKey $settings.secretEnv .)) }}
{{- fail (printf "workers.%s: %s needs %s, in `env` or `secretEnv`" $.worker $program .) }}
{{- end }}
{{- end }}
{{- else if not $settings.program }}
{{- fail (printf "workers.%s: %s is no program that comes with Esteira, as are %s; `program` has to name the folder of one of your own in the image, or image.repository an image of your own" .worker .worker (keys $known | sortAlpha | join ", ")) }}
{{- end }}
{{- $_ := set $settings "program" $program }}
{{- end }}
{{- if and $settings.autoscaling.enabled (not $settings.functions) }}
{{- fail (printf "workers.%s: to scale it, `functions` has to name its functions, whose queues are looked at" .worker) }}
{{- end }}
{{- with $settings.autoscaling }}
{{- if and .enabled (gt (int64 .minReplicas) (int64 .maxReplicas)) }}
{{- fail (printf "workers.%s.autoscaling: minReplicas is greater than maxReplicas" $.worker) }}
{{- end }}
{{- end }}
{{- include "esteira.given" $settings -}}
{{- end }}

{{/*
The programs that come with Esteira: their functions, and the variables that each needs beside what all have. Others are
in an image of a tree with more folders in `workers`, and only that knows whether they are.
*/}}
{{- define "esteira.programs" -}}
database-query:
  functions:
    - Database.query
  needs: []
rd-station-get-leads:
  functions:
    - RdStation.getLeads
  needs:
    - RDSTATION_CLIENT_ID
    - RDSTATION_CLIENT_SECRET
    - RDSTATION_REFRESH_TOKEN
{{- end }}
