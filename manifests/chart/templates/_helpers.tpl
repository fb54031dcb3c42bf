{{- /* On one line: `hack/chart render` leaves it out of manifests/base, where kustomize adds labels. */ -}}
{{- define "countersign.labels" -}}
{{- $labels := dict "app.kubernetes.io/name" "countersign" "app.kubernetes.io/part-of" "countersign"
  "app.kubernetes.io/instance" .Release.Name "app.kubernetes.io/managed-by" .Release.Service
  "helm.sh/chart" (printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_") -}}
{{- toJson (merge $labels .Values.labels) -}}
{{- end -}}

{{- define "countersign.image" -}}
{{- if .image.digest -}}
{{ .image.repository }}@{{ .image.digest }}
{{- else -}}
{{ .image.repository }}:{{ .image.tag | default .version }}
{{- end -}}
{{- end -}}

{{- /* A variable of sidecars is an argument NAME=VALUE; Kubernetes would expand $(NAME) in it. */ -}}
{{- define "countersign.sidecarEnv" -}}
{{- printf "--sidecar-env=%s=%s" .name (toString .value | replace "$(" "$$(") | quote -}}
{{- end -}}
