import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, expect, test } from 'vitest'
import * as z from 'zod'
import { cronJobOf } from './support/cron-job-of.ts'
import { root } from './support/helm.ts'
import { type Container, objectsOf, podsOf } from './support/manifests.ts'
import { complaintsOf, environmentOf, programOf, sourcesOf } from './support/programs.ts'
import { least, refusalOf, render, valuesFile } from './support/render.ts'

type Started = { program: string; env: Record<string, string>; container: Container }

let started: Started[] = []

const onIPv6 = { controlPlane: { host: '::' }, 'outbox-relay': { health: { host: '::' } } }

beforeAll(async () => {
  const releases = await Promise.all([
    render({ files: [least], values: { workers: { 'database-query': {} } } }),
    render({ files: [valuesFile('everything')] }),
    render({ files: [least], values: onIPv6, set: ['cron.enabled=false'] }),
  ])
  const pods = releases.flatMap((manifests) => {
    const cronJob = cronJobOf(manifests)
    const standing = podsOf(manifests).filter(({ owner }) => owner.startsWith('Deployment'))
    return cronJob === null ? standing : standing.concat(podsOf([cronJob]))
  })
  const made = pods
    .flatMap(({ main, relay }) => [main, relay])
    .flatMap((container) => {
      const program = programOf(container)
      return program === null ? [] : [{ program, env: environmentOf(container), container }]
    })
  // Pods of one release have the same relay.
  const different = new Map(made.map((one) => [JSON.stringify([one.program, one.env]), one]))
  started = [...different.values()]
})

test.each([
  'control-plane/src/main.ts',
  'sidecar/src/main.ts',
  'workers/cron-job/src/main.ts',
  'workers/database-query/src/main.ts',
  'workers/rd-station-get-leads/src/main.ts',
])(
  '%s takes the environments that the charts give it, and misses nothing',
  async (judge) => {
    const given = started.filter(({ program }) => program === judge)
    expect(given.length).toBeGreaterThan(0)
    for (const { env } of given) expect(await complaintsOf(judge, env), JSON.stringify(env)).toEqual([])
  },
  120_000,
)

test('no variable of ours is given to a program that does not read it', () => {
  for (const { program, container } of started) {
    const sources = sourcesOf(program)
    const isRead = (name: string): boolean =>
      sources.includes(`'${name}'`) || (name.startsWith('ESTEIRA_CONNECTION_') && sources.includes('connections'))
    const names = container.env.map(({ name }) => name).filter((name) => /^(ESTEIRA|RDSTATION)_|_URL$/.test(name))
    expect(
      names.filter((name) => !isRead(name)),
      program,
    ).toEqual([])
  }
})

/** Those that the chart takes without a `program`; who adds a folder to `workers` names it there. */
const known = ['database-query', 'rd-station-get-leads']

/** What a worker misses in an empty environment, beside what every worker is given. */
const missedBy = async (worker: string): Promise<string[]> => {
  const complaints = await complaintsOf(`workers/${worker}/src/main.ts`, {})
  const missing = complaints.flatMap((line) => /^(\w+) .* is not set$/.exec(line)?.[1] ?? [])
  return missing.filter((name) => name !== 'DATABASE_URL' && name !== 'RABBITMQ_URL')
}

test.each(known)('the chart knows the functions of %s, and what it cannot be without', async (worker) => {
  const needs = await missedBy(worker)
  const given = (names: string[]) => Object.fromEntries(names.map((name) => [name, { name: 'account', key: name }]))
  const release = (names: string[]) => ({
    files: [least],
    values: {
      rabbitmq: { management: { secret: { name: 'management' } } },
      workers: { [worker]: { autoscaling: { enabled: true }, secretEnv: given(names) } },
    },
  })
  for (const missing of needs) {
    expect(await refusalOf(release(needs.filter((name) => name !== missing)))).toContain(
      `workers.${worker}: ${worker} needs ${missing}, in \`env\` or \`secretEnv\``,
    )
  }
  const queues = z.object({
    spec: z.object({ triggers: z.array(z.object({ metadata: z.object({ queueName: z.string() }) })) }),
  })
  const looked = objectsOf(await render(release(needs)), 'ScaledObject', queues)
  expect(looked.flatMap(({ spec }) => spec.triggers.map(({ metadata }) => metadata.queueName))).toEqual(
    functionsOf(worker),
  )
})

const functionsOf = (worker: string): string[] =>
  globSync(`workers/${worker}/src/**/*.ts`, { cwd: root })
    .map((file) => readFileSync(join(root, file), 'utf8'))
    .flatMap((source) => [...source.matchAll(/defineFunction\(\{\s*name: '([^']+)'/g)].map(([, name = '']) => name))
