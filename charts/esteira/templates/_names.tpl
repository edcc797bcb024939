{{/*
What all names begin with, 32 characters at most, so that with a worker's name of 30 they fit into a label. What is
longer is cut and ends in a hash of the whole: two releases that begin alike stay two. Helm takes dots in the name of a
release, and a digit before them; the name of a Service has neither.
*/}}
{{- define "esteira.fullname" -}}
{{- $name := include "esteira.name" . -}}
{{- $full := .Values.fullnameOverride | default (contains $name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name $name)) -}}
{{- $plain := $full | replace "." "-" -}}
{{- if not (regexMatch "^[a-z]" $plain) }}
{{- fail (printf "%s: what names begin with has to begin with a letter itself; give fullnameOverride" $full) }}
{{- end -}}
{{- if gt (len $plain) 32 -}}
{{- printf "%s-%s" (regexReplaceAll "-+$" ($plain | trunc 25) "") ($full | sha256sum | trunc 6) -}}
{{- else -}}
{{- $plain -}}
{{- end -}}
{{- end }}

{{- define "esteira.name" -}}
{{- .Values.nameOverride | default .Chart.Name -}}
{{- end }}

{{/*
By what a component's pods are found, for as long as the release lives. The argument: `context`, `component`, `worker`.
Here and in all templates names are quoted: `on`, `123` and `null` are names to Helm, and something else to YAML.
*/}}
{{- define "esteira.selectorLabels" -}}
app.kubernetes.io/name: {{ include "esteira.name" .context | quote }}
app.kubernetes.io/instance: {{ .context.Release.Name | quote }}
app.kubernetes.io/component: {{ .component }}
{{- with .worker }}
esteira.dev/worker: {{ . | quote }}
{{- end }}
{{- end }}

{{/* Labels that say what something is, of an object or a pod. The values may say otherwise: none comes twice. */}}
{{- define "esteira.aboutLabels" -}}
app.kubernetes.io/version: {{ .context.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: esteira
{{- end }}

{{/* The labels of an object of Helm's. By those of a selector something is found, so the schema keeps them from the values. */}}
{{- define "esteira.labels" -}}
{{- $own := dict "helm.sh/chart" (printf "%s-%s" .context.Chart.Name .context.Chart.Version | replace "+" "_") -}}
{{- $_ := set $own "app.kubernetes.io/managed-by" .context.Release.Service -}}
{{- $about := include "esteira.aboutLabels" . | fromYaml -}}
{{- $selector := include "esteira.selectorLabels" . | fromYaml -}}
{{- mustMergeOverwrite $own $about $selector (deepCopy .context.Values.commonLabels) (.labels | default dict) | toYaml -}}
{{- end }}

{{/* The `metadata` of an object, whose name is `fullname` and `suffix`. */}}
{{- define "esteira.metadata" -}}
name: {{ include "esteira.fullname" .context }}-{{ .suffix }}
namespace: {{ .context.Release.Namespace | quote }}
labels:
  {{- include "esteira.labels" . | nindent 2 }}
{{- with .annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* The name of a component's service account: one that exists, or its own. */}}
{{- define "esteira.serviceAccountName" -}}
{{- .serviceAccount.name | default (printf "%s-%s" (include "esteira.fullname" .context) .suffix) -}}
{{- end }}
