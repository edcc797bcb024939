import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, expect, test } from 'vitest'
import { parse } from 'yaml'
import { chartFolder, type Release, withRelease } from './support/helm.ts'
import { another, at, leavesOf, type Path } from './support/leaves.ts'
import { valuesFile } from './support/render.ts'

const secret = { name: 'another', key: 'another' }
const digest = `sha256:${'0'.repeat(64)}`

/** What a value is set to where another of its kind would be refused, or is what it is set to already. */
const instead: Record<string, unknown> = {
  'controlPlane.consumerTimeoutMs': 5_000,
  'controlPlane.pods': { priorityClassName: 'another' },
  'controlPlane.replicas': 7,
  'controlPlane.service.type': 'NodePort',
  'controlPlane.startupSeconds': 60,
  'cron.pods': { priorityClassName: 'another' },
  'image.pullPolicy': 'Never',
  logLevel: 'error',
  maxPayloadBytes: 4_096,
  'networkPolicies.apiFrom': [],
  'networkPolicies.egress.enabled': false,
  'networkPolicies.egress.rules': [],
  'networkPolicies.egress.workerRules': [],
  'podMonitors.enabled': false,
  'podMonitors.interval': '5s',
  'pods.dnsPolicy': 'Default',
  'pods.hostAliases': [],
  'pods.imagePullSecrets': [{ name: 'another' }],
  'pods.initContainers': [],
  'pods.secretEnv': { ANOTHER: secret },
  'pods.tolerations': [],
  'pods.volumeMounts': [],
  'pods.volumes': [],
  'telemetry.endpoint': 'https://another',
  'telemetry.env': { OTEL_ANOTHER: 'one' },
  'telemetry.protocol': 'grpc',
  'workerDefaults.connections': { another: secret },
  'workerDefaults.pods': { priorityClassName: 'another' },
  'workerDefaults.prefetch': 7,
  'workerDefaults.secretEnv': { ANOTHER: secret },
  'workerDefaults.stallMs': 5_000,
  'workerDefaults.startupSeconds': 60,
  workers: { another: { program: 'database-query' } },
  'outbox-relay.image.digest': digest,
  'outbox-relay.image.pullPolicy': 'Never',
  'outbox-relay.logLevel': 'error',
  'outbox-relay.relay.adopt': 'no',
  'outbox-relay.relay.brokerDeadlineMs': 777,
  'outbox-relay.relay.confirmDeadlineMs': 777,
  'outbox-relay.relay.parkAfter': 7,
  'outbox-relay.relay.pollMs': 777,
  'outbox-relay.relay.retryCapMs': 777,
  'outbox-relay.relay.retryMs': 777,
  'outbox-relay.relay.window': 777,
  'outbox-relay.secretEnv': { ANOTHER: secret },
  'outbox-relay.volumeMounts': [{ name: 'another', mountPath: '/another' }],
}

const ofMine = (settings: object): object => ({ workers: { 'messages-send': settings } })

/** What is set for values that mean something only beside others. */
const together: Record<string, object> = {
  'image.digest': { image: { digest }, 'outbox-relay': { image: { digest } } },
  'controlPlane.database.secret.key': { controlPlane: { database: { secret } } },
  'cron.database.secret.key': { cron: { database: { secret } } },
  'networkPolicies.metricsFrom': { networkPolicies: { metricsFrom: [{ podSelector: {} }] } },
  'workerDefaults.database.secret.key': { workerDefaults: { database: { secret } } },
  'workerDefaults.functions': ofMine({ functions: ['Another'] }),
  'workerDefaults.image.digest': ofMine({ image: { digest } }),
  'workerDefaults.image.pullPolicy': ofMine({ image: { pullPolicy: 'Never' } }),
  'workerDefaults.image.repository': ofMine({ image: { repository: 'another' } }),
  'workerDefaults.image.tag': ofMine({ image: { tag: 'another' } }),
  'workerDefaults.program': { workers: { 'rd-station-get-leads': { program: 'database-query' } } },
}

/** A release in which every value of the chart has a say, and one of somebody else's chart for those of the relay. */
const esteira: Release = { name: 'my', files: [valuesFile('everything')] }
const shop: Release = { name: 'my', chart: 'examples/shop' }

const valuesOf = (chart: string): unknown => parse(readFileSync(join(chartFolder(chart), 'values.yaml'), 'utf8'))

const casesOf = (chart: string, release: Release, path: Path) =>
  leavesOf(valuesOf(chart), path).map((leaf) => ({
    path: leaf.path,
    value: leaf.value,
    name: leaf.path.join('.'),
    chart,
    release,
  }))

const cases = [...casesOf('esteira', esteira, []), ...casesOf('outbox-relay', shop, ['outbox-relay'])]

const textOf = async (release: Release): Promise<string> => {
  const said = await withRelease(['template'], release)
  if (!said.ok) throw new Error(said.words)
  return said.stdout
}

let before: ReadonlyMap<Release, string>

beforeAll(async () => {
  before = new Map([
    [esteira, await textOf(esteira)],
    [shop, await textOf(shop)],
  ])
})

test.each(cases)('$name of $chart means something', async ({ name, path, value, release }) => {
  const values = together[name] ?? at(path, instead[name] ?? another(value))
  expect(await textOf({ ...release, values })).not.toBe(before.get(release))
})

test('digits stay what they are in a tag, which is text, and in an attribute of resources, which may be a number', async () => {
  const telemetry = { endpoint: 'http://collector', resourceAttributes: { build: 20_240_101 } }
  const values = { image: { tag: '20240101' }, telemetry }
  const text = await textOf({ name: 'my', files: [valuesFile('minimal')], values })
  const tags = new Set([...text.matchAll(/localhost\/esteira(?:-relay)?:([^"]*)"/g)].map(([, tag]) => tag))
  expect([...tags]).toEqual(['20240101'])
  expect(text).toContain('"build=20240101"')
})

test('no job at all is a part of them too', async () => {
  const telemetry = { endpoint: 'http://collector', sampler: 'traceidratio', samplerArg: 0 }
  const text = await textOf({ name: 'my', files: [valuesFile('minimal')], values: { telemetry } })
  expect(text).toMatch(/OTEL_TRACES_SAMPLER_ARG"?\n +value: "0"/)
})
