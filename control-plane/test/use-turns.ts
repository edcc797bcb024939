import { queryable, type Queryable } from '@esteira/outbox'
import { cloneDatabase } from '@esteira/test/support'
import { afterEach, beforeEach, expect } from 'vitest'
import { z } from 'zod'
import type { View } from '../src/reconciler/cluster-view.ts'
import { createDesire } from '../src/reconciler/desired-cron-jobs.ts'
import { createPicture } from '../src/reconciler/picture.ts'
import { readDatabaseId } from '../src/reconciler/read-database-id.ts'
import { reconcileOnce, type Report } from '../src/reconciler/reconcile.ts'
import type { ReconcileEvent } from '../src/reconciler/tell-turn.ts'
import { createRepairs } from '../src/reconciler/repairs.ts'
import { workflowDocument } from '../src/workflows/document.ts'
import { anchor, createMemoryCluster, type MemoryCluster } from './memory-cluster.ts'
import { type Api, openApi } from './open-api.ts'
import { podTemplate } from './pod-template.ts'

/** The database of a test, its API, and the cluster that its turns write to. */
export let database: Awaited<ReturnType<typeof cloneDatabase>>
export let api: Api
export let cluster: MemoryCluster
/** What the last turn told of, but for how things stand after it. */
export let events: ReconcileEvent[]
export let standing: ReconcileEvent | undefined

/** Gives each test of a file a database, an API and a cluster of its own. */
export const useTurns = (): void => {
  beforeEach(async () => {
    database = await cloneDatabase()
    api = await openApi(database.url, { cron: 'kubernetes' })
    cluster = createMemoryCluster()
    events = []
  })
  afterEach(async () => {
    await api.close()
    await database.drop()
  })
}

export const look = async (): Promise<View> => {
  const listed = await cluster.cronJobs.list()
  if (listed.kind !== 'ok') throw new Error('it lists')
  return { kind: 'seen', anchor, picture: createPicture(listed.value.items) }
}

/** A lead that nobody takes. */
const ownLead = (): Queryable => queryable(api.orm.em.fork())

type Given = { view?: View; mayWrite?: () => boolean; lead?: Queryable }

/** A turn of a control plane that has just started. */
export const turn = async ({ view, mayWrite = () => true, lead = ownLead() }: Given = {}): Promise<Report> => {
  const seen = view ?? (await look())
  events = []
  standing = undefined
  cluster.counted()
  const ofDatabase = await readDatabaseId(api.orm.em.fork())
  return reconcileOnce({
    em: api.orm.em.fork(),
    database: ofDatabase,
    view: seen,
    cronJobs: cluster.cronJobs,
    desire: createDesire({ anchor: anchor.name, database: ofDatabase, template: podTemplate }),
    repairs: createRepairs(),
    mayWrite,
    lead,
    observe: (event) => {
      if (event.kind === 'cron-jobs.seen') standing = event
      else events.push(event)
    },
  })
}

export const tick = { name: 'every hour', functionName: 'CronJob', config: { schedule: '0 * * * *' } }

export const save = async (change: object = {}) => {
  const answer = await api.send('POST', '/v1/workflows', { name: 'leads', steps: [tick], ...change })
  return workflowDocument.parse(answer.body)
}

export const saveAgain = async (id: string, change: object = {}) => {
  const { headers } = await api.send('GET', `/v1/workflows/${id}`)
  const body = { name: 'leads', automationType: 'step', enabled: true, steps: [tick], ...change }
  const answer = await api.send('PUT', `/v1/workflows/${id}`, body, { 'if-match': headers.get('etag') ?? '' })
  expect(answer.status).toBe(200)
}

const shown = z.object({ items: z.array(z.looseObject({ runsIn: z.string(), actual: z.looseObject({}).nullable() })) })

/** The cron steps as the API shows them. */
export const cronJobs = async () => shown.parse((await api.send('GET', '/v1/cron-jobs')).body).items

export const actual = async () => (await cronJobs())[0]?.actual

export const passTime = () =>
  api.query(`update workflow_cron_job set next_try_at = now() - interval '1 second' where trouble is not null`)

const manySteps = (count: number) => Array.from({ length: count }, (_, index) => ({ ...tick, name: `step ${index}` }))

export const saveMany = async (count: number): Promise<void> => {
  for (let first = 0; first < count; first += 50) {
    await save({ name: `leads ${first}`, steps: manySteps(Math.min(50, count - first)) })
  }
}
