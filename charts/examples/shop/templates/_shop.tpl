{{/* What names begin with. Helm takes dots and 53 characters: a StatefulSet takes none, and a CronJob 52. */}}
{{- define "shop.fullname" -}}
{{- .Release.Name | replace "." "-" | trunc 40 | trimSuffix "-" -}}
{{- end }}

{{- define "shop.labels" -}}
app.kubernetes.io/name: {{ .Chart.Name | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{/* The shop's container. `relay` is what the relay beside it is called with. */}}
{{- define "shop.container" -}}
- name: shop
  image: {{ .context.Values.image | quote }}
  imagePullPolicy: {{ .context.Values.imagePullPolicy }}
  args:
    - /app/shop/main.ts
  env:
    - name: DATABASE_URL
      valueFrom:
        secretKeyRef:
          name: {{ .context.Values.database.secret | quote }}
          key: uri
    {{- include "outbox-relay.laneEnv" .relay | nindent 4 }}
    {{- with .env }}
    {{- . | nindent 4 }}
    {{- end }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 65532
    readOnlyRootFilesystem: true
    allowPrivilegeEscalation: false
    capabilities:
      drop:
        - ALL
    seccompProfile:
      type: RuntimeDefault
  volumeMounts:
    - name: program
      mountPath: /app/shop
{{- end }}

{{- define "shop.volumes" -}}
- name: program
  configMap:
    name: {{ include "shop.fullname" . }}-shop
{{- end }}

{{- define "shop.standingEnv" -}}
- name: ORDERS
  value: {{ .Values.orders | int | quote }}
- name: PAUSE_MS
  value: {{ .Values.pauseMs | int | quote }}
- name: STAY
  value: 'yes'
{{- end }}
