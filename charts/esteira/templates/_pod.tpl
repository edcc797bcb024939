{{/*
The one template of all pods: a main container, and the relay beside it. The argument, a dict:

  context         that of the chart
  component       control-plane, worker or cron-job
  worker          the name of the worker
  settings        the component's part of the values
  serviceAccount  its name
  container       the main container, as YAML
  ownSeconds      what the main container may take to end
  relay           values of the relay that this component alone has
  job             whether it runs to an end; its lane is then given by whoever makes the pod
  annotations     more of them
  volumes         more of them
*/}}
{{- define "esteira.podTemplate" -}}
{{- $pods := include "esteira.pods" . | fromYaml -}}
{{- $sidecar := dict "context" .context "values" (include "esteira.relayValues" . | fromYaml) "own" .ownSeconds -}}
{{- if .job }}
{{- $_ := set $sidecar "lane" "" }}
{{- end -}}
{{- $relay := include "outbox-relay.initContainer" $sidecar -}}
{{- $volumes := concat (.volumes | default list) $pods.volumes -}}
{{- include "esteira.refuseTwins" (dict "of" . "containers" (concat $pods.initContainers (fromYamlArray $relay) (fromYamlArray .container)) "volumes" $volumes) -}}
{{- $labels := mustMergeOverwrite (include "esteira.aboutLabels" . | fromYaml) (include "esteira.selectorLabels" . | fromYaml) (deepCopy .context.Values.commonLabels) $pods.labels -}}
metadata:
  labels:
    {{- toYaml $labels | nindent 4 }}
  {{- with mustMerge (.annotations | default dict) $pods.annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  serviceAccountName: {{ .serviceAccount | quote }}
  automountServiceAccountToken: false
  # Variables of Services beside it would be taken for ours: ESTEIRA_CONTROL_PLANE_PORT, for example.
  enableServiceLinks: false
  {{- if .job }}
  restartPolicy: Never
  {{- end }}
  terminationGracePeriodSeconds: {{ include "outbox-relay.terminationGracePeriodSeconds" $sidecar }}
  securityContext:
    {{- toYaml $pods.podSecurityContext | nindent 4 }}
  {{- with $pods.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $pods.priorityClassName }}
  priorityClassName: {{ . | quote }}
  {{- end }}
  {{- with $pods.runtimeClassName }}
  runtimeClassName: {{ . | quote }}
  {{- end }}
  {{- with $pods.hostAliases }}
  hostAliases:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $pods.dnsPolicy }}
  dnsPolicy: {{ . }}
  {{- end }}
  {{- with $pods.dnsConfig }}
  dnsConfig:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  initContainers:
    {{- with $pods.initContainers }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
    {{- $relay | nindent 4 }}
  containers:
    {{- .container | nindent 4 }}
  {{- with $volumes }}
  volumes:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $pods.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $pods.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $pods.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- if and $pods.topologySpreadKeys (not .job) }}
  topologySpreadConstraints:
    {{- range $pods.topologySpreadKeys }}
    - topologyKey: {{ . | quote }}
      maxSkew: 1
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          {{- include "esteira.selectorLabels" $ | nindent 10 }}
      # Of one version alone: else the pods that a rollout takes away would have a say in where the new ones go.
      matchLabelKeys:
        - pod-template-hash
    {{- end }}
  {{- end }}
{{- end }}

{{/*
Refuses two containers of one name or on one port of the pod, whose network they share, and two volumes of one name. Of the
pod of a tick nobody would, before it is one.
*/}}
{{- define "esteira.refuseTwins" -}}
{{- $of := .of.worker | default .of.component -}}
{{- $ports := dict -}}
{{- $containers := list -}}
{{- range $container := .containers }}
{{- if has .name $containers }}
{{- fail (printf "%s: its pod would have two containers %q; the chart has one by that name, or the values have it twice" $of .name) }}
{{- end }}
{{- $containers = append $containers .name }}
{{- range $container.ports }}
{{- $port := int64 .containerPort | toString }}
{{- with get $ports $port }}
{{- fail (printf "%s: %s and %s of its pod would both listen on the port %s" $of . $container.name $port) }}
{{- end }}
{{- $_ := set $ports $port $container.name }}
{{- end }}
{{- end }}
{{- $names := list -}}
{{- range .volumes }}
{{- if has .name $names }}
{{- fail (printf "%s: its pod would have two volumes %q; the chart has one by that name, or the values have it twice" $of .name) }}
{{- end }}
{{- $names = append $names .name }}
{{- end }}
{{- end }}

{{/* What holds for the pods of a component: `pods`, with its own before it. */}}
{{- define "esteira.pods" -}}
{{- include "esteira.given" (mustMergeOverwrite (deepCopy .context.Values.pods) (deepCopy .settings.pods)) -}}
{{- end }}

{{/*
A map without its members that are null, as YAML. By null a value is taken away; Helm does so with one of the chart's own,
and not with what is merged here: a limit of null would be one of 0 to Kubernetes.
*/}}
{{- define "esteira.given" -}}
{{- $given := dict -}}
{{- range $name, $value := . -}}
{{- if kindIs "map" $value -}}
{{- $_ := set $given $name (include "esteira.given" $value | fromYaml) -}}
{{- else if not (kindIs "invalid" $value) -}}
{{- $_ := set $given $name $value -}}
{{- end -}}
{{- end -}}
{{- toYaml $given -}}
{{- end }}

{{/*
The main container. The argument is that of the pod, and besides `name`, `image`, `command`, `args`, `env` (YAML),
`ports` (a dict), `more` (YAML: its probes and what else there is), and `volumeMounts`.
*/}}
{{- define "esteira.container" -}}
{{- $pods := include "esteira.pods" . | fromYaml -}}
- name: {{ .name }}
  image: {{ include "outbox-relay.image" .image | quote }}
  {{- with .image.pullPolicy }}
  imagePullPolicy: {{ . }}
  {{- end }}
  {{- with .command }}
  command:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .args }}
  args:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  env:
    {{- include "esteira.env" (dict "of" . "pods" $pods) | nindent 4 }}
  {{- with .ports }}
  ports:
    {{- range $name, $port := . }}
    - name: {{ $name }}
      containerPort: {{ int64 $port }}
    {{- end }}
  {{- end }}
  {{- with .more }}
  {{- . | nindent 2 }}
  {{- end }}
  resources:
    {{- toYaml .settings.resources | nindent 4 }}
  securityContext:
    {{- toYaml $pods.securityContext | nindent 4 }}
  # A start that is refused says why on its last lines.
  terminationMessagePolicy: FallbackToLogsOnError
  {{- with concat (.volumeMounts | default list) $pods.volumeMounts }}
  volumeMounts:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}

{{/* The image `esteira`, with the chart's version unless a tag is given. */}}
{{- define "esteira.image" -}}
{{- merge (dict "tag" (.Values.image.tag | default .Chart.AppVersion)) (omit .Values.image "tag") | toYaml -}}
{{- end }}

{{/* The values of the relay beside a component: what the release says once, unless `outbox-relay` says otherwise. */}}
{{- define "esteira.relayValues" -}}
{{- $values := .context.Values -}}
{{- $own := get $values "outbox-relay" -}}
{{- if ne (empty $values.image.digest) (empty $own.image.digest) }}
{{- fail "image.digest, outbox-relay.image.digest: give both or none, or the relay may be of another version" }}
{{- end -}}
{{- $common := dict
  "image" (dict
    "repository" ($own.image.repository | default (printf "%s-relay" $values.image.repository))
    "tag" ($own.image.tag | default $values.image.tag | default .context.Chart.AppVersion)
    "pullPolicy" ($own.image.pullPolicy | default $values.image.pullPolicy)
  )
  "logLevel" ($own.logLevel | default $values.logLevel)
  "env" (mustMerge (deepCopy $own.env) (include "esteira.traceEnv" .context | fromYaml))
  "secretEnv" (mustMerge (deepCopy $own.secretEnv) (include "esteira.traceSecretEnv" .context | fromYaml))
-}}
{{- range $of := list "database" "rabbitmq" }}
{{- if not (get $own $of).secret.name }}
{{- $secret := (get $values $of).secret }}
{{- $name := required (printf "%s.secret.name: the Secret with its address has to be named" $of) $secret.name }}
{{- $_ := set $common $of (dict "secret" (dict "name" $name "key" $secret.key)) }}
{{- end }}
{{- end }}
{{- mustMergeOverwrite $common (.relay | default dict) | toYaml -}}
{{- end }}
