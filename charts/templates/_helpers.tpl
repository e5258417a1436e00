{{/* Values that are absent are those of values.yaml: after `helm upgrade --reuse-values` every section is absent that the
     release before did not have, and `section: null` takes one away. Included at the top of every template. */}}
{{- define "hca-operator.complete" -}}
{{- $_ := set . "Values" (mergeOverwrite (.Files.Get "files/values.yaml" | fromYaml) .Values) -}}
{{- end -}}

{{- define "hca-operator.name" -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{- define "hca-operator.serviceAccount" -}}
{{- if .Values.serviceAccount.name -}}{{ .Values.serviceAccount.name }}
{{- else if .Values.serviceAccount.create -}}{{ include "hca-operator.name" . }}
{{- else -}}default{{- end -}}
{{- end -}}

{{- define "hca-operator.image" -}}
{{- with (.Values.global).imageRegistry }}{{ trimSuffix "/" . }}/{{ end -}}
{{- if .Values.image.digest -}}{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{- end -}}
{{- end -}}

{{- define "hca-operator.selector" -}}
app.kubernetes.io/name: hca-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "hca-operator.labels" -}}
{{ include "hca-operator.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* Pod and container security that the "restricted" Pod Security Standard asks for; no user id, which OpenShift assigns. */}}
{{- define "hca-operator.podSecurity" -}}
runAsNonRoot: true
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "hca-operator.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{/* The metrics API: its Deployment, Service, Secret, account and roles have one name. */}}
{{- define "hca-operator.metrics" -}}
{{ include "hca-operator.name" . }}-metrics
{{- end -}}

{{/* One account of its own, unless the chart is to make none: then the one that serviceAccount.name gives to both. */}}
{{- define "hca-operator.metricsAccount" -}}
{{- if .Values.serviceAccount.create }}{{ include "hca-operator.metrics" . }}{{ else }}{{ include "hca-operator.serviceAccount" . }}{{ end -}}
{{- end -}}

{{/* Not empty where it is installed: who answers for the whole cluster needs rights in all of it. */}}
{{- define "hca-operator.metricsEnabled" -}}
{{- if and (.Values.externalMetrics).enabled (eq .Values.scope "Cluster") }}true{{ end -}}
{{- end -}}

{{- define "hca-operator.metricsSelector" -}}
app.kubernetes.io/name: hca-operator-metrics
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "hca-operator.metricsLabels" -}}
{{ merge (include "hca-operator.metricsSelector" . | fromYaml) (include "hca-operator.labels" . | fromYaml) | toYaml }}
{{- end -}}
