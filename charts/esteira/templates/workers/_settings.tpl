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
{{- if not (hasKey $known $program) }}
{{- fail (printf "workers.%s: the image has no program %q, there are %s; a worker of your own needs image.repository" .worker $program (keys $known | sortAlpha | join ", ")) }}
{{- end }}
{{- if $settings.functions }}
{{- fail (printf "workers.%s: the functions of %s are known, so `functions` would not be used" .worker $program) }}
{{- end }}
{{- $_ := set $settings "program" $program }}
{{- $_ := set $settings "functions" (get $known $program).functions }}
{{- range (get $known $program).needs }}
{{- if not (or (hasKey $settings.env .) (hasKey $settings.secretEnv .)) }}
{{- fail (printf "workers.%s: %s needs %s, in `env` or `secretEnv`" $.worker $program .) }}
{{- end }}
{{- end }}
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

{{/* The programs of the image: their functions, and the variables that each needs beside what all have. */}}
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
