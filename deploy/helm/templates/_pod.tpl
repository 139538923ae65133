{{- /* The pod of one role. Takes a list: the root context, the role's name, its program's argument, its values. */ -}}
{{- define "payalo.pod" -}}
{{- $root := index . 0 -}}
{{- $component := index . 1 -}}
{{- $role := index . 2 -}}
{{- $values := index . 3 -}}
{{- $isReceiver := eq $component "receiver" -}}
metadata:
  labels: { app.kubernetes.io/name: payalo-receiver, app.kubernetes.io/component: {{ $component }} }
spec:
  {{- if $isReceiver }}
  topologySpreadConstraints:
    - maxSkew: 1
      topologyKey: kubernetes.io/hostname
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels: { app.kubernetes.io/component: receiver }
  {{- end }}
  automountServiceAccountToken: false
  terminationGracePeriodSeconds: {{ $root.Values.terminationGracePeriodSeconds }}
  {{- with $root.Values.imagePullSecrets }}
  imagePullSecrets:
    {{- range . }}
    - name: {{ . }}
    {{- end }}
  {{- end }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 1000
    runAsGroup: 1000
    fsGroup: 1000
    fsGroupChangePolicy: OnRootMismatch
    seccompProfile: { type: RuntimeDefault }
  containers:
    - name: {{ $component }}
      image: {{ printf "%s:%s" $root.Values.image.repository (default $root.Chart.AppVersion $root.Values.image.tag) | quote }}
      {{- with $root.Values.image.pullPolicy }}
      imagePullPolicy: {{ . }}
      {{- end }}
      command: [node, /app/dist/src/main.js, {{ $role }}]
      envFrom:
        - configMapRef: { name: payalo-receiver }
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities: { drop: [ALL] }
      ports:
        {{- if $isReceiver }}
        - { name: public, containerPort: 3000 }
        {{- end }}
        - { name: operator, containerPort: 3001 }
      startupProbe:
        httpGet: { path: /livez, port: {{ $isReceiver | ternary "public" "operator" }} }
        periodSeconds: 1
        failureThreshold: 60
      livenessProbe:
        httpGet: { path: /livez, port: {{ $isReceiver | ternary "public" "operator" }} }
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: 6
      # Ready with Redis down, as long as the spool accepts callbacks.
      readinessProbe:
        httpGet: { path: /readyz, port: {{ $isReceiver | ternary "public" "operator" }} }
        periodSeconds: {{ $isReceiver | ternary 1 5 }}
        timeoutSeconds: 2
        {{- if $isReceiver }}
        failureThreshold: 2
        {{- end }}
      resources:
        {{- toYaml $values.resources | nindent 8 }}
      volumeMounts:
        - { name: spool, mountPath: /data }
        - { name: secrets, mountPath: /run/secrets/payalo, readOnly: true }
  volumes:
    {{- if not $isReceiver }}
    - name: spool # holds no only copy: the next sweep finds these callbacks again
      emptyDir: {}
    {{- end }}
    - name: secrets
      secret: { secretName: {{ $root.Values.secretName }} }
{{- end -}}
