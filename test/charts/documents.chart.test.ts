import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { parse, parseAllDocuments } from 'yaml'
import * as z from 'zod'
import { chartFolder, helm, root, withRelease } from './support/helm.ts'
import { podsOf, readManifests } from './support/manifests.ts'
import { least, matrix, render, valuesFile } from './support/render.ts'

const read = (file: string): string => readFileSync(join(root, file), 'utf8')

/** The values in a page: its blocks of YAML that are no objects of Kubernetes and no templates. */
const valuesIn = (page: string): { begins: string; text: string; values: object }[] =>
  [...read(page).matchAll(/^```yaml\n([\s\S]*?)^```$/gm)]
    .map(([, text = '']) => text)
    .filter((text) => !/^(apiVersion|spec|dependencies):|\{\{/m.test(text))
    .map((text) => ({ begins: text.split('\n')[0] ?? '', text, values: z.looseObject({}).parse(parse(text)) }))

test.each(valuesIn('docs/kubernetes.md'))(
  'the page on Kubernetes has values that the chart takes: $begins …',
  async ({ values }) => {
    // Some say only what is added to others.
    const [whole] = valuesIn('docs/kubernetes.md')
    expect(podsOf(await render({ files: [least], values })).length).toBeGreaterThan(1)
    expect(whole?.text).toContain('database:')
  },
)

test.each(valuesIn('charts/esteira/README.md'))(
  'the README of esteira has values that the chart takes: $begins …',
  async ({ values }) => {
    expect(podsOf(await render({ values })).length).toBeGreaterThan(1)
  },
)

test.each(valuesIn('charts/outbox-relay/README.md'))(
  'the README of outbox-relay has all values that it needs: $begins …',
  async ({ values }) => {
    const manifests = await render({ chart: 'examples/shop', values })
    expect(podsOf(manifests)).toHaveLength(4)
  },
)

test('the example for External Secrets makes every Secret, with every key, that the page’s values name', async () => {
  const [whole] = valuesIn('docs/kubernetes.md')
  const external = z.object({
    metadata: z.object({ name: z.string() }),
    spec: z.object({
      target: z.object({ name: z.string(), template: z.object({ data: z.record(z.string(), z.string()) }).optional() }),
      data: z.array(z.object({ secretKey: z.string() })),
    }),
  })
  const made = parseAllDocuments(read('charts/examples/external-secrets.yaml')).flatMap((document) => {
    const { spec } = external.parse(document.toJS())
    const keys =
      spec.target.template === undefined
        ? spec.data.map((one) => one.secretKey)
        : Object.keys(spec.target.template.data)
    return keys.map((key) => `${spec.target.name} ${key}`)
  })
  const pods = podsOf(await render({ values: whole?.values ?? {} }))
  const variables = pods.flatMap(({ main, relay }) => main.env.concat(relay.env))
  const needed = variables.flatMap(({ valueFrom }) => {
    const ref = valueFrom?.secretKeyRef
    return ref === undefined ? [] : [`${ref.name} ${ref.key}`]
  })
  expect(made.toSorted()).toEqual([...new Set(needed)].toSorted())
})

test('a chart is packed with that of the relay, without a step before it', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'esteira-charts-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  expect(await helm(['package', chartFolder('esteira'), '--destination', folder])).toMatchObject({ ok: true })
  const [archive = ''] = readdirSync(folder)
  const said = await helm(['template', 'my', join(folder, archive), '--namespace', 'shop', '--values', least])
  if (!said.ok) throw new Error(said.words)
  expect(readManifests(said.stdout)).toEqual(await render({ files: [least] }))
})

test('the command of the page on Kubernetes prints the Role also with values that leave it out', async () => {
  const [, command = expect.fail()] = /`helm (template [^`]*rbac\.yaml)`/.exec(read('docs/kubernetes.md')) ?? []
  const words = command.split(/\s+/).flatMap((word) => {
    if (word === 'charts/esteira') return chartFolder('esteira')
    return word === 'values.yaml' ? [least, '--values', '-'] : word
  })
  const said = await helm(words, JSON.stringify({ controlPlane: { rbac: { create: false } } }))
  if (!said.ok) throw new Error(said.words)
  expect(readManifests(said.stdout).map(({ kind }) => kind)).toEqual(['Role', 'RoleBinding'])
})

const notesOf = async (release: object): Promise<string> => {
  const said = await withRelease(['install', '--dry-run=client'], { name: 'my', namespace: 'shop', ...release })
  if (!said.ok) throw new Error(said.words)
  return said.stdout.split('\nNOTES:\n')[1] ?? ''
}

test('what Helm says at the end names what is there, and how to ask the API', async () => {
  const manifests = await render({ files: [valuesFile('everything')] })
  const notes = await notesOf({ files: [valuesFile('everything')] })
  expect(notes).toContain('rollout status deployment/my-esteira-control-plane')
  expect(notes).toContain('get secrets esteira-database esteira-rabbitmq esteira-admin')
  expect(notes).toContain('port-forward service/my-esteira-control-plane 8080:443')
  expect(notes).toContain("get secret esteira-admin -o jsonpath='{.data.api\\.token}'")
  expect(notes).toContain('get cronjobs -l esteira.dev/anchor=my-esteira-anchor')
  for (const { kind, metadata } of manifests.filter((object) => object.kind === 'Deployment')) {
    expect(notes, kind).toContain(metadata.name)
  }
  expect(notes).toContain('RdStation.getLeads, 0 to 10 pods by KEDA')
  expect(notes).not.toMatch(/no worker yet|localhost\/esteira|metricsFrom/)
})

test('it says what is missing as well', async () => {
  expect(await notesOf({ files: [least] })).toMatch(/no worker yet[\s\S]*localhost\/esteira/)
  expect(await notesOf({ files: [least], set: ['cron.enabled=false'] })).toContain('Nobody fires the ticks')
  expect(await notesOf({ files: [least], set: ['controlPlane.rbac.create=false'] })).toContain('applies the Role')
  expect(await notesOf({ files: [least], set: ['podMonitors.enabled=true'] })).toContain('networkPolicies.metricsFrom')
  const open = 'controlPlane.service.type=LoadBalancer'
  expect(await notesOf({ files: [least], set: [open] })).toContain('networkPolicies.apiFrom')
  const closed = await notesOf({ files: [least] })
  const named = await notesOf({ files: [least], set: [open, 'networkPolicies.apiFrom[0].ipBlock.cidr=10.0.0.0/8'] })
  expect([closed, named].join()).not.toContain('networkPolicies.apiFrom')
  const ofItsFolder = { workers: { crm: { program: 'messages-send' } } }
  expect(await notesOf({ files: [least], values: ofItsFolder })).toContain(
    'my-esteira-crm: what workers/messages-send of the image has',
  )
})

test.each(matrix)('it has no gaps and no long lines: $title', async ({ title: _title, ...release }) => {
  const notes = await notesOf(release)
  expect(notes).not.toMatch(/\n\n\n|<no value>|[ \t]\n/)
  const prose = notes.split('\n').filter((line) => !line.startsWith('  '))
  expect(prose.filter((line) => line.length > 130)).toEqual([])
})
