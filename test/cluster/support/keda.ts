import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { inject } from 'vitest'
import { createAuthority } from '../api/certificates.ts'
import { createKubectl } from '../api/kubectl.ts'
import { writeProgramImage } from '../node/program-image.ts'
import { importImage } from '../node/use-node.ts'
import { meansOfRun } from '../setup/means.ts'
import { inTurn } from '../tools/cache.ts'
import { goPrograms, keda } from '../tools/go-programs.ts'

const image = 'localhost/esteira-keda:1'
const namespace = 'keda'
const metrics = 'keda-metrics-apiserver'

/** Has KEDA at work on the node: its operator, and its API of metrics, without which nothing goes beyond one pod. */
export const installKeda = (): Promise<void> => {
  const { folder, kubeconfig, openssl } = inject('apiServer')
  const own = join(folder, 'keda')
  return inTurn(folder, 'keda', async () => {
    if (existsSync(join(own, 'is-there'))) return
    mkdirSync(own, { recursive: true })
    const means = meansOfRun()
    const programs = await goPrograms(means, keda)
    const files = ['operator', 'adapter'].map((name) => join(programs, name))
    const archive = await writeProgramImage(means, { image, files, folder: own })
    await importImage(archive)
    rmSync(archive)
    const kubectl = createKubectl({ kubectl: inject('helmTools').kubectl, kubeconfig, folder: own })
    // Larger than what `kubectl apply` would note of them.
    await kubectl(['create', '--filename', programs])
    const authority = await createAuthority(openssl, own)
    const hosts = ['localhost', `${metrics}.${namespace}.svc`]
    const pair = await authority.issue({ name: 'keda', subject: '/CN=keda', hosts })
    const certificates = {
      'ca.crt': authority.certificate,
      'tls.crt': readFileSync(pair.certificate, 'utf8'),
      'tls.key': readFileSync(pair.key, 'utf8'),
    }
    await kubectl(['create', '--filename', '-'], objects(certificates))
    await kubectl(['wait', '--namespace', namespace, '--for', 'condition=Ready', 'pod/keda', '--timeout', '120s'])
    // Not before who serves it: while the API server knows of an API that does not answer, no namespace goes.
    await kubectl(['create', '--filename', '-'], serviceOfApi(authority.certificate))
    await kubectl(['wait', '--for', 'condition=Available', `apiservice/${metricsApi}`, '--timeout', '60s'])
    writeFileSync(join(own, 'is-there'), '')
  })
}

/** The API of metrics, as the API server knows it. */
export const metricsApi = 'v1beta1.external.metrics.k8s.io'

/** As KEDA's own manifests have it (config/ of its module), both programs in one pod, which find each other there. */
const objects = (certificates: Record<string, string>): object => {
  const metadata = { name: namespace, namespace }
  const rbac = 'rbac.authorization.k8s.io'
  const binding = (name: string, role: string, subject: object) => ({
    apiVersion: `${rbac}/v1`,
    kind: 'ClusterRoleBinding',
    metadata: { name },
    roleRef: { apiGroup: rbac, kind: 'ClusterRole', name: role },
    subjects: [{ kind: 'ServiceAccount', ...subject }],
  })
  const container = (name: string, args: readonly string[]) => ({
    name,
    image,
    imagePullPolicy: 'Never',
    command: [`/${name}`],
    args,
    env: [
      { name: 'WATCH_NAMESPACE', value: '' },
      { name: 'POD_NAMESPACE', value: namespace },
      { name: 'KEDA_HTTP_DEFAULT_TIMEOUT', value: '3000' },
    ],
    // Without a request it is last on a busy node, behind every pod that has one, and does not answer for seconds.
    resources: { requests: { cpu: '200m' } },
    volumeMounts: [{ name: 'certificates', mountPath: '/certs', readOnly: true }],
  })
  const items = [
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } },
    { apiVersion: 'v1', kind: 'ServiceAccount', metadata },
    binding('keda', 'cluster-admin', { name: namespace, namespace }),
    {
      apiVersion: `${rbac}/v1`,
      kind: 'ClusterRole',
      metadata: { name: 'keda-external-metrics-reader' },
      rules: [{ apiGroups: ['external.metrics.k8s.io'], resources: ['*'], verbs: ['*'] }],
    },
    binding('keda-external-metrics', 'keda-external-metrics-reader', {
      name: 'horizontal-pod-autoscaler',
      namespace: 'kube-system',
    }),
    { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'kedaorg-certs', namespace }, stringData: certificates },
    {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { ...metadata, labels: { app: namespace } },
      spec: {
        serviceAccountName: namespace,
        containers: [
          {
            ...container('operator', ['--zap-log-level=info', '--metrics-bind-address=127.0.0.1:18080']),
            readinessProbe: { httpGet: { path: '/readyz', port: 8081 }, periodSeconds: 1 },
          },
          {
            ...container('adapter', [
              '--secure-port=6443',
              '--client-ca-file=/certs/ca.crt',
              '--tls-cert-file=/certs/tls.crt',
              '--tls-private-key-file=/certs/tls.key',
              '--cert-dir=/certs',
              '--metrics-service-address=localhost:9666',
            ]),
            readinessProbe: { httpGet: { path: '/readyz', port: 6443, scheme: 'HTTPS' }, periodSeconds: 1 },
          },
        ],
        volumes: [{ name: 'certificates', secret: { secretName: 'kedaorg-certs' } }],
      },
    },
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: metrics, namespace },
      spec: {
        selector: { app: namespace },
        ports: [{ port: 443, targetPort: 6443 }],
        // On a busy machine its pod is not ready now and then; without an address its API would be one that does not answer.
        publishNotReadyAddresses: true,
      },
    },
  ]
  return { apiVersion: 'v1', kind: 'List', items }
}

const serviceOfApi = (authority: string): object => ({
  apiVersion: 'apiregistration.k8s.io/v1',
  kind: 'APIService',
  metadata: { name: metricsApi },
  spec: {
    service: { name: metrics, namespace },
    group: 'external.metrics.k8s.io',
    version: 'v1beta1',
    groupPriorityMinimum: 100,
    versionPriority: 100,
    caBundle: Buffer.from(authority).toString('base64'),
  },
})
