import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { readValues } from './readme/read-values.ts'
import { chartFolder, withRelease } from './support/helm.ts'
import { least, refusalOf } from './support/render.ts'

const worker = (settings: object) => ({ workers: { 'database-query': settings } })

const management = {
  secret: { name: 'esteira-rabbitmq' },
  management: { secret: { name: 'esteira-rabbitmq-management' } },
}

test.each([
  ['a value that does not exist', { imge: { tag: '1' } }, "additional properties 'imge' not allowed"],
  ['one of a worker', worker({ replica: 2 }), "additional properties 'replica' not allowed"],
  ['one of the relay', { 'outbox-relay': { window: 5 } }, "additional properties 'window' not allowed"],
  ['a level that does not exist', { logLevel: 'verbose' }, '/logLevel'],
  ['a number that is text', worker({ prefetch: '100' }), '/workers/database-query/prefetch'],
  ['a number that the program refuses', { 'outbox-relay': { relay: { pollMs: 5 } } }, '/relay/pollMs'],
  ['a tag that is a number, and might be another one', { image: { tag: 1.1 } }, '/image/tag'],
  [
    'one of a worker’s image',
    worker({ image: { repository: 'registry.example.com/mine', tag: 20_240_101 } }),
    '/workers/database-query/image/tag',
  ],
  ['one of the relay’s image', { 'outbox-relay': { image: { tag: 2 } } }, '/image/tag'],
  [
    'a worker named as a component is',
    { workers: { 'control-plane': { program: 'database-query' } } },
    'control-plane',
  ],
  ['a worker whose name is too long', { workers: { ['a'.repeat(31)]: {} } }, 'a'.repeat(31)],
  [
    'a worker that is no program of Esteira',
    { workers: { 'database-querry': {} } },
    'workers.database-querry: database-querry is no program that comes with Esteira, as are database-query, rd-station-get-leads',
  ],
  ['the program of a tick as a worker', { workers: { mine: { program: 'cron-job' } } }, '/workers/mine/program'],
  [
    'an image without a version',
    { workers: { mine: { image: { repository: 'registry.example.com/mine' } } } },
    'workers.mine.image: a tag or a digest has to be given',
  ],
  [
    'a program beside an image',
    { workers: { mine: { program: 'database-query', image: { repository: 'registry.example.com/mine', tag: '1' } } } },
    'workers.mine: it has an image of its own',
  ],
  [
    'an image that is scaled without its functions',
    {
      workers: {
        mine: { image: { repository: 'registry.example.com/mine', tag: '1' }, autoscaling: { enabled: true } },
      },
    },
    'workers.mine: to scale it, `functions` has to name its functions',
  ],
  [
    'KEDA without the address of the management plugin',
    worker({ autoscaling: { enabled: true } }),
    'rabbitmq.management.secret.name: KEDA needs the Secret',
  ],
  [
    'a secret that is written out',
    worker({ env: { ESTEIRA_CONNECTION_CRM: 'postgres://user:password@host/crm' } }),
    'ESTEIRA_CONNECTION_CRM: what it holds is secret; name the Secret in `secretEnv`',
  ],
  [
    'one among the variables of all pods',
    { pods: { env: { ESTEIRA_SECRET_TOKEN: 'a' } } },
    'ESTEIRA_SECRET_TOKEN: what it holds is secret',
  ],
  [
    'headers of traces that are written out',
    { telemetry: { endpoint: 'http://collector', env: { OTEL_EXPORTER_OTLP_HEADERS: 'authorization=a' } } },
    'telemetry.env.OTEL_EXPORTER_OTLP_HEADERS: what it holds is secret',
  ],
  [
    'a setting of traces without an endpoint',
    { telemetry: { sampler: 'always_off' } },
    'telemetry.sampler: without telemetry.endpoint it would not be used',
  ],
  [
    'a variable of traces without an endpoint',
    { telemetry: { env: { OTEL_BSP_SCHEDULE_DELAY: 100 } } },
    'telemetry.env: without telemetry.endpoint',
  ],
  [
    'headers of traces without an endpoint',
    { telemetry: { headers: { secret: { name: 'collector' } } } },
    'telemetry.headers: without telemetry.endpoint',
  ],
  [
    'a variable of traces that has a value of its own',
    {
      telemetry: {
        endpoint: 'http://collector',
        sampler: 'always_on',
        env: { OTEL_TRACES_SAMPLER: 'always_off' },
      },
    },
    'telemetry.env.OTEL_TRACES_SAMPLER: the chart sets it by itself, by a value of its own',
  ],
  [
    'more pods at the least than at the most',
    { ...worker({ autoscaling: { enabled: true, minReplicas: 5, maxReplicas: 2 } }), rabbitmq: management },
    'workers.database-query.autoscaling: minReplicas is greater than maxReplicas',
  ],
  ['an image without a name', { image: { repository: '' } }, '/image/repository'],
  [
    'a connection that no step can name',
    worker({ connections: { 'crm-eu': { name: 'crm', key: 'uri' } } }),
    "invalid propertyName 'crm-eu'",
  ],
  [
    'a tag of the image of a worker that has none of its own',
    worker({ image: { tag: '1.2.0' } }),
    'workers.database-query.image.tag: without a repository the image is that of all',
  ],
  [
    'a policy of such an image',
    worker({ image: { pullPolicy: 'Never' } }),
    'workers.database-query.image.pullPolicy: without a repository',
  ],
  [
    'a variable that the chart sets',
    worker({ env: { ESTEIRA_GRACE_MS: 5 } }),
    'ESTEIRA_GRACE_MS: the chart sets it by itself, by a value of its own',
  ],
  [
    'a variable that is given twice',
    worker({ env: { ESTEIRA_LEDGER_DAYS: 30 }, secretEnv: { ESTEIRA_LEDGER_DAYS: { name: 'a', key: 'b' } } }),
    'ESTEIRA_LEDGER_DAYS: it is in `env` and in `secretEnv`',
  ],
  [
    'a secret that is written out for the relay',
    { 'outbox-relay': { env: { OTEL_EXPORTER_OTLP_HEADERS: 'authorization=a' } } },
    'outbox-relay.env.OTEL_EXPORTER_OTLP_HEADERS: what it holds is secret; name the Secret in `secretEnv`',
  ],
  [
    'an address of the relay that is written out',
    { 'outbox-relay': { env: { DATABASE_URL: 'postgres://user:password@host/name' } } },
    'outbox-relay: DATABASE_URL: the chart sets it by itself, by a value of its own',
  ],
  [
    'a lane of the relay that is not its pod’s',
    { 'outbox-relay': { env: { ESTEIRA_LANE: 'mine' } } },
    'outbox-relay: ESTEIRA_LANE: the chart sets it by itself',
  ],
  [
    'nobody who carries what pods that are gone have left',
    { controlPlane: { replicas: 0 }, 'outbox-relay': { relay: { adopt: 'no' } } },
    'outbox-relay.relay.adopt: with `no`, and without a control plane',
  ],
  [
    'a variable of the relay that is given twice',
    {
      telemetry: { endpoint: 'http://collector' },
      'outbox-relay': { secretEnv: { OTEL_EXPORTER_OTLP_ENDPOINT: { name: 'a', key: 'b' } } },
    },
    'outbox-relay: OTEL_EXPORTER_OTLP_ENDPOINT: it is in `env` and in `secretEnv`',
  ],
  [
    'a label by which a selector finds pods',
    { commonLabels: { 'app.kubernetes.io/component': 'mine' } },
    'app.kubernetes.io/component',
  ],
  [
    'one of the pods of ticks, which a NetworkPolicy finds by it',
    { cron: { pods: { labels: { 'app.kubernetes.io/instance': 'mine' } } } },
    'app.kubernetes.io/instance',
  ],
  ['one of a worker', worker({ pods: { labels: { 'esteira.dev/worker': 'mine' } } }), 'esteira.dev/worker'],
  [
    'a port that the relay beside it has',
    { controlPlane: { port: 9464 } },
    'control-plane: outbox-relay and control-plane of its pod would both listen on the port 9464',
  ],
  [
    'one that a worker has',
    { ...worker({}), 'outbox-relay': { health: { port: 9465 } } },
    'database-query: outbox-relay and worker of its pod would both listen on the port 9465',
  ],
  [
    'functions of a program whose functions are known',
    worker({ functions: ['Mine'] }),
    'workers.database-query: the functions of database-query are known',
  ],
  [
    'a budget that would keep a node from being drained',
    { controlPlane: { podDisruptionBudget: { maxUnavailable: 0 } } },
    'maxUnavailable',
  ],
  ['one in percent', worker({ podDisruptionBudget: { maxUnavailable: '0%' } }), 'maxUnavailable'],
  [
    'a digest of one of the two images',
    { image: { digest: `sha256:${'0'.repeat(64)}` } },
    'image.digest, outbox-relay.image.digest: give both or none',
  ],
  [
    'a volume with a name that the chart has',
    worker({ secrets: ['accounts'], pods: { volumes: [{ name: 'secrets', emptyDir: {} }] } }),
    'database-query: its pod would have two volumes "secrets"',
  ],
  [
    'a container with the name of one of the chart’s',
    { pods: { initContainers: [{ name: 'cron-job', image: 'registry.example.com/proxy:1' }] } },
    'cron-job: its pod would have two containers "cron-job"',
  ],
  [
    'one on the port of one of the chart’s',
    {
      cron: {
        pods: {
          initContainers: [{ name: 'proxy', image: 'registry.example.com/proxy:1', ports: [{ containerPort: 9464 }] }],
        },
      },
    },
    'cron-job: proxy and outbox-relay of its pod would both listen on the port 9464',
  ],
  [
    'one without an image',
    { pods: { initContainers: [{ name: 'proxy' }] } },
    "/pods/initContainers/0': missing property 'image'",
  ],
])('%s is refused, and in which place it is told', async (_what, values, words) => {
  expect(await refusalOf({ files: [least], values })).toContain(words)
})

test.each([
  'controlPlane.replicas',
  'controlPlane.gracePeriodSeconds',
  'controlPlane.preStopSeconds',
  'controlPlane.startupSeconds',
  'cron.gracePeriodSeconds',
  'workerDefaults.replicas',
  'workerDefaults.gracePeriodSeconds',
  'workerDefaults.startupSeconds',
  'workerDefaults.autoscaling.maxReplicas',
])('%s cannot be taken away by null, which a template would take for 0', async (path) => {
  const refusal = await refusalOf({ files: [least], set: [`${path}=null`] })
  expect(refusal).toContain(`missing property '${path.split('.').at(-1)}'`)
})

const holdersOf = (chart: string, prefix: readonly string[]): string[] =>
  readValues(readFileSync(join(chartFolder(chart), 'values.yaml'), 'utf8'))
    .filter(({ fallback }) => fallback === null)
    .map(({ path }) => [...prefix, ...path].join('.'))

test.each([...holdersOf('esteira', []), ...holdersOf('outbox-relay', ['outbox-relay'])])(
  'without %s, as with --reuse-values after a release that had none, no template stumbles over it',
  async (path) => {
    const said = await withRelease(['template'], { name: 'esteira', files: [least], set: [`${path}=null`] })
    const words = said.ok ? 'it does without' : said.words
    expect(words).toMatch(/it does without|missing propert(y|ies) '|has to be named/)
  },
)

test('a release whose name begins with a digit is refused: no Service can be named so', async () => {
  const words = '2026-esteira: what names begin with has to begin with a letter itself; give fullnameOverride'
  expect(await refusalOf({ name: '2026', files: [least] })).toContain(words)
})

test.each(['database.secret.name', 'rabbitmq.secret.name', 'adminToken.secret.name'])(
  'without %s nothing is installed',
  async (path) => {
    expect(await refusalOf({ files: [least], set: [`${path}=`] })).toContain(`${path}: the Secret`)
  },
)

test.each(['database', 'rabbitmq'])('the relay of somebody else asks for its Secret: %s', async (of) => {
  const words = await refusalOf({ chart: 'examples/shop', set: [`outbox-relay.${of}.secret.name=`] })
  expect(words).toContain(`outbox-relay.${of}.secret.name: the Secret that holds it has to be named`)
})

test.each([
  [
    'env',
    { DATABASE_URL: 'postgres://user:password@host/name' },
    'outbox-relay: DATABASE_URL: the chart sets it by itself',
  ],
  [
    'secretEnv',
    { ESTEIRA_GRACE_MS: { name: 'a', key: 'b' } },
    'outbox-relay: ESTEIRA_GRACE_MS: the chart sets it by itself',
  ],
  [
    'env',
    { OTEL_EXPORTER_OTLP_HEADERS: 'a=b' },
    'outbox-relay.env.OTEL_EXPORTER_OTLP_HEADERS: what it holds is secret',
  ],
])(
  'the relay of somebody else takes no %s that it has, nor a secret that is written out',
  async (of, values, words) => {
    const relay = { 'outbox-relay': { [of]: values } }
    expect(await refusalOf({ chart: 'examples/shop', values: relay })).toContain(words)
  },
)

test('a cluster that does not know sidecars is refused', async () => {
  expect(await refusalOf({ files: [least], flags: ['--kube-version', '1.28.0'] })).toContain('>=1.30.0-0')
  expect(await refusalOf({ chart: 'examples/shop', flags: ['--kube-version', '1.28.0'] })).toContain('>=1.29.0-0')
})
