import { integer, laneName, loadConfig, logLevels, oneOf, postgresUrl, text, token } from '@esteira/service'
import { defaultConsumerTimeoutMs, maxPayloadRange } from '@esteira/workflow'

/** Who fires the ticks of CronJob steps: the local scheduler, Kubernetes, or nobody here. It is never chosen silently. */
export const cronModes = ['local', 'kubernetes', 'off'] as const
export type CronMode = (typeof cronModes)[number]

const settings = {
  databaseUrl: postgresUrl('DATABASE_URL'),
  lane: laneName('ESTEIRA_LANE', { fallback: 'control-plane' }),
  adminToken: token('ESTEIRA_ADMIN_TOKEN'),
  httpHost: text('ESTEIRA_HTTP_HOST', { fallback: '127.0.0.1' }),
  httpPort: integer('ESTEIRA_HTTP_PORT', { min: 0, max: 65_535, fallback: 8080 }),
  maxPayloadBytes: integer('ESTEIRA_MAX_PAYLOAD_BYTES', maxPayloadRange),
  consumerTimeoutMs: integer('ESTEIRA_CONSUMER_TIMEOUT_MS', {
    min: 1_000,
    max: 86_400_000,
    fallback: defaultConsumerTimeoutMs,
  }),
  graceMs: integer('ESTEIRA_GRACE_MS', { min: 0, max: 600_000, fallback: 20_000 }),
  cron: oneOf('ESTEIRA_CRON', cronModes),
  logLevel: oneOf('ESTEIRA_LOG_LEVEL', logLevels, { fallback: 'info' }),
}

const localCronSettings = {
  cronProgram: text('ESTEIRA_CRON_PROGRAM'),
  cronLane: laneName('ESTEIRA_CRON_LANE'),
}

const kubernetesCronSettings = {
  cronPodTemplate: text('ESTEIRA_CRON_POD_TEMPLATE'),
  cronPodTemplateSha256: text('ESTEIRA_CRON_POD_TEMPLATE_SHA256'),
  cronAnchor: text('ESTEIRA_CRON_ANCHOR'),
  cronNamespace: text('ESTEIRA_CRON_NAMESPACE', { fallback: '' }),
  kubeconfig: text('ESTEIRA_KUBECONFIG', { fallback: '' }),
}

/** Who fires ticks, and what that takes. */
export type CronConfig =
  | { by: 'off' }
  | { by: 'local'; program: string; lane: string }
  | {
      by: 'kubernetes'
      podTemplate: { file: string; sha256: string }
      anchor: string
      namespace: string | null
      kubeconfig: string | null
    }

/** What the control plane is started with. */
export type Config = Omit<ReturnType<typeof loadConfig<typeof settings>>, 'cron'> & { cron: CronConfig }

/** @throws ConfigError with every problem of the environment. */
export const loadControlPlaneConfig = (env: NodeJS.ProcessEnv): Config => {
  switch (env.ESTEIRA_CRON) {
    case 'local': {
      const { cronProgram, cronLane, ...config } = loadConfig(env, { ...settings, ...localCronSettings })
      return { ...config, cron: { by: 'local', program: cronProgram, lane: cronLane } }
    }
    case 'kubernetes': {
      const all = { ...settings, ...kubernetesCronSettings }
      const { cronPodTemplate, cronPodTemplateSha256, cronAnchor, cronNamespace, kubeconfig, ...config } = loadConfig(
        env,
        all,
        faultsOfKubernetes(env),
      )
      const podTemplate = { file: cronPodTemplate, sha256: cronPodTemplateSha256 }
      const place = { namespace: cronNamespace || null, kubeconfig: kubeconfig || null }
      return { ...config, cron: { by: 'kubernetes', podTemplate, anchor: cronAnchor, ...place } }
    }
    default:
      return { ...loadConfig(env, settings), cron: { by: 'off' } }
  }
}

/** The anchor's name is a label as well, which has less room than a name. */
const labelValue = /^[a-z0-9]([-a-z0-9.]{0,61}[a-z0-9])?$/

const sha256 = /^[0-9a-f]{64}$/

const faultsOfKubernetes = ({
  ESTEIRA_CRON_ANCHOR,
  ESTEIRA_CRON_POD_TEMPLATE_SHA256,
  ESTEIRA_KUBECONFIG,
  KUBERNETES_SERVICE_HOST,
}: NodeJS.ProcessEnv): string[] => [
  ...(ESTEIRA_CRON_ANCHOR === undefined || labelValue.test(ESTEIRA_CRON_ANCHOR)
    ? []
    : [
        `ESTEIRA_CRON_ANCHOR: expected the name of a ConfigMap with at most 63 characters, "${ESTEIRA_CRON_ANCHOR}" is not`,
      ]),
  // With any other no template would ever be its own.
  ...(ESTEIRA_CRON_POD_TEMPLATE_SHA256 === undefined || sha256.test(ESTEIRA_CRON_POD_TEMPLATE_SHA256)
    ? []
    : ['ESTEIRA_CRON_POD_TEMPLATE_SHA256: expected 64 hexadecimal digits in lowercase']),
  // Without it the client would look for "undefined", and say so for ever.
  ...(ESTEIRA_KUBECONFIG === undefined && KUBERNETES_SERVICE_HOST === undefined
    ? ['ESTEIRA_CRON is kubernetes, and this is no pod of a cluster: set ESTEIRA_KUBECONFIG']
    : []),
]
