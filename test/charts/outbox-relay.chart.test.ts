import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { parse } from 'yaml'
import * as z from 'zod'
import { chartFolder, helm, type Said } from './support/helm.ts'
import { objectsOf, podsOf, variableOf } from './support/manifests.ts'
import { render } from './support/render.ts'

test('somebody else’s Deployment, StatefulSet, Job and CronJob have the relay beside them', async () => {
  const pods = podsOf(await render({ chart: 'examples/shop' }))
  expect(pods.map(({ owner }) => owner).toSorted()).toEqual([
    'CronJob my-report',
    'Deployment my-shop',
    expect.stringMatching(/^Job my-first-order-[0-9a-f]{8}$/),
    'StatefulSet my-till',
  ])
  for (const { relay } of pods) {
    expect(variableOf(relay, 'DATABASE_URL')?.valueFrom?.secretKeyRef).toEqual({ name: 'shop-database', key: 'uri' })
    expect(variableOf(relay, 'RABBITMQ_URL')?.valueFrom?.secretKeyRef).toEqual({ name: 'shop-rabbitmq', key: 'uri' })
  }
})

test('its Job has another name with another pod, which a Job cannot be given, and the same with the same', async () => {
  const nameOf = async (values: object) =>
    (await render({ chart: 'examples/shop', values })).find(({ kind }) => kind === 'Job')?.metadata.name
  const first = await nameOf({})
  expect(first).toBeDefined()
  expect(await nameOf({ pauseMs: 1 })).toBe(await nameOf({ pauseMs: 1 }))
  expect(await nameOf({ 'outbox-relay': { logLevel: 'debug' } })).not.toBe(first)
})

test('its StatefulSet names no Service that nobody makes', async () => {
  const manifests = await render({ chart: 'examples/shop' })
  const services = manifests.filter(({ kind }) => kind === 'Service').map(({ metadata }) => metadata.name)
  const [till] = objectsOf(manifests, 'StatefulSet', z.object({ spec: z.object({ serviceName: z.string() }) }))
  expect(['', ...services]).toContain(till?.spec.serviceName)
})

test('one line of a template brings it', () => {
  for (const file of ['deployment', 'statefulset', 'job', 'cronjob']) {
    const template = readFileSync(join(chartFolder('examples/shop'), 'templates', `${file}.yaml`), 'utf8')
    expect(template.match(/include "outbox-relay\.initContainer"/g), file).toHaveLength(1)
  }
})

test('the pods of a CronJob share a lane, so that lanes do not multiply with ticks', async () => {
  const pods = podsOf(await render({ chart: 'examples/shop' }))
  const lane = (of: string) => pods.find(({ owner }) => owner.startsWith(of))?.relay
  expect(variableOf(lane('CronJob my-report') ?? expect.fail(), 'ESTEIRA_LANE')).toEqual({
    name: 'ESTEIRA_LANE',
    value: 'my-report',
  })
  expect(variableOf(lane('Job my-first-order') ?? expect.fail(), 'ESTEIRA_LANE')?.valueFrom).toEqual({
    fieldRef: { fieldPath: 'metadata.name' },
  })
})

/** What helm makes of a chart that has the relay’s as a dependency, under its name or another, and one template. */
const templateOf = async (template: string, alias?: string): Promise<Said> => {
  const chart = mkdtempSync(join(tmpdir(), 'esteira-chart-'))
  onTestFinished(() => rmSync(chart, { recursive: true }))
  const secret = { secret: { name: 'mine' } }
  const dependency = {
    name: 'outbox-relay',
    version: '0.1.0',
    repository: '',
    ...(alias === undefined ? {} : { alias }),
  }
  mkdirSync(join(chart, 'charts'))
  mkdirSync(join(chart, 'templates'))
  symlinkSync(chartFolder('outbox-relay'), join(chart, 'charts/outbox-relay'))
  const meta = { apiVersion: 'v2', name: 'mine', version: '1.0.0', dependencies: [dependency] }
  writeFileSync(join(chart, 'Chart.yaml'), JSON.stringify(meta))
  writeFileSync(
    join(chart, 'values.yaml'),
    JSON.stringify({ [alias ?? 'outbox-relay']: { database: secret, rabbitmq: secret } }),
  )
  writeFileSync(join(chart, 'templates/pod.yaml'), template)
  return helm(['template', 'my', chart])
}

const parsed = (said: Said): unknown => {
  if (!said.ok) throw new Error(said.words)
  return parse(said.stdout)
}

test('a relay has values of its own where it is asked for so, and others keep theirs', async () => {
  const own = '(dict "context" . "lane" "till" "values" (dict "health" (dict "port" 9999) "gracePeriodSeconds" 5))'
  const template = `items:\n{{ include "outbox-relay.initContainer" ${own} }}\n{{ include "outbox-relay.initContainer" . }}`
  const variables = z.array(z.looseObject({ name: z.string(), value: z.string().optional() }))
  const shape = z.object({ items: z.array(z.looseObject({ env: variables })) })
  const [till, other] = shape
    .parse(parsed(await templateOf(template)))
    .items.map(({ env }) => Object.fromEntries(env.map(({ name, value }) => [name, value])))
  expect(till).toMatchObject({ ESTEIRA_LANE: 'till', ESTEIRA_HEALTH_PORT: '9999', ESTEIRA_GRACE_MS: '5000' })
  expect(other).toMatchObject({ ESTEIRA_LANE: undefined, ESTEIRA_HEALTH_PORT: '9464', ESTEIRA_GRACE_MS: '25000' })
})

test.each([
  ['.', 30 + 25 + 10],
  ['(dict "context" . "own" 300)', 300 + 25 + 10],
  ['(dict "context" . "own" 0 "values" (dict "gracePeriodSeconds" 60))', 60 + 10],
])('the time to end is that of both containers, one after the other: %s', async (argument, seconds) => {
  const said = await templateOf(`seconds: {{ include "outbox-relay.terminationGracePeriodSeconds" ${argument} }}`)
  expect(parsed(said)).toEqual({ seconds })
})

test('under another name it says that it has to have its own', async () => {
  const said = await templateOf('{{ include "outbox-relay.initContainer" . }}', 'relay')
  expect(said).toMatchObject({
    ok: false,
    words: expect.stringContaining('the chart outbox-relay has to be among the dependencies, under its own name'),
  })
})
