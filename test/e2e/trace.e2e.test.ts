import { isDeepStrictEqual } from 'node:util'
import { leadsWorkflow } from '@esteira/dev/house'
import {
  inOrder,
  type OtlpReceiver,
  startOtlpReceiver,
  startTestHouse,
  type TestHouse,
  tracesOfLeads,
  treeOf,
  waitFor,
} from '@esteira/test/support'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { z } from 'zod'

const leads = 3
let receiver: OtlpReceiver
let house: TestHouse

beforeAll(async () => {
  receiver = await startOtlpReceiver()
  // As whoever runs the house would set it; its processes inherit it.
  Object.assign(process.env, receiver.env)
  house = await startTestHouse({ leads, cron: 'off', crmSql: 'create table lead (uuid text, name text)' })
})
afterAll(async () => {
  for (const name of Object.keys(receiver.env)) delete process.env[name]
  await house.stop()
  await receiver.stop()
})

const [tick, getLeads, saveLead] = leadsWorkflow.steps
const workflow = {
  name: 'traced',
  steps: [
    tick,
    getLeads,
    {
      ...saveLead,
      config: {
        connection: 'crm',
        sql: 'insert into lead values ($1, $2)',
        params: ['{{ payload.uuid }}', '{{ payload.name }}'],
      },
    },
  ],
}

const byTick = async (): Promise<string> => {
  const { id, steps } = await house.api.createWorkflow({ ...workflow, name: 'by a tick' })
  await house.tick(steps[0]?.id ?? '', 'traced')
  const rows = await house.sql(`select id from workflow_run where workflow_id = '${id}'`)
  return z.tuple([z.object({ id: z.string() })]).parse(rows)[0].id
}

const byHand = async (): Promise<string> =>
  (await house.api.startRun(await house.api.createWorkflow({ ...workflow, name: 'by hand' }))).id

test.each([
  ['a tick', 'esteira-cron-job', byTick],
  ['a call of the API', 'esteira-control-plane', byHand],
])(
  'from %s to the last row a run is one tree over its processes: a trace a job, linked from child to parent',
  async (_, origin, begin) => {
    const runId = await begin()
    expect(await house.api.runOver(runId)).toMatchObject({ status: 'succeeded' })

    const ofRun = () => receiver.spans().filter(({ attributes }) => attributes['esteira.run.id'] === runId)
    const ofJobs = () => ofRun().filter(({ attributes }) => attributes['esteira.job.id'] !== undefined)
    const roots = () => ofJobs().filter(({ parent }) => parent === null)
    const trees = () => roots().map((root) => treeOf(root, ofJobs()))
    await waitFor(() => isDeepStrictEqual(inOrder(trees()), inOrder(tracesOfLeads(origin, leads))), {
      deadlineMs: 20_000,
      describe: () => trees(),
    })

    // A trace a job, the one that its row has.
    const jobs = z
      .array(z.object({ id: z.string(), parent_id: z.string().nullable(), trace: z.string() }))
      .parse(
        await house.sql(
          `select id, parent_id, split_part(traceparent, '-', 2) as trace from workflow_job where run_id = '${runId}'`,
        ),
      )
    expect(new Set(roots().map(({ traceId }) => traceId))).toEqual(new Set(jobs.map(({ trace }) => trace)))
    expect(new Set(ofJobs().map(({ traceId }) => traceId)).size).toBe(2 + leads)

    // Whose each span is.
    for (const span of ofJobs()) {
      const job = jobs.find(({ trace }) => trace === span.traceId)
      expect(span.attributes, span.name).toMatchObject({
        'esteira.run.id': runId,
        'esteira.job.id': job?.id,
        'esteira.step.id': expect.stringMatching(/^[0-9a-f-]{36}$/),
      })
    }
    const groups = ofRun().filter(({ name }) => name === 'commit')
    expect(groups.length).toBeGreaterThan(0)
    for (const { attributes, parent } of groups) {
      expect(attributes).toMatchObject({ 'esteira.run.id': runId })
      expect(parent).toBeNull()
    }

    // A child's trace leads to its parent's: to where the parent was processed, or to the beginning of a CronJob; and the
    // first one to the request that began the run.
    for (const { traceId, links } of roots()) {
      const parentId = jobs.find(({ trace }) => trace === traceId)?.parent_id ?? null
      const ofParent = ofJobs().filter(({ attributes }) => attributes['esteira.job.id'] === parentId)
      const from =
        ofParent.find(({ name }) => name.startsWith('process ')) ??
        ofParent.find(({ name }) => name.startsWith('create ')) ??
        ofRun().find(({ name }) => parentId === null && name.startsWith('POST /'))
      expect(links.map((link) => [link.traceId, link.spanId])).toEqual(from ? [[from.traceId, from.spanId]] : [])
    }

    const nobodys = receiver.spans().filter(({ attributes }) => attributes['esteira.run.id'] === undefined)
    expect(new Set(nobodys.map(({ name }) => name))).toEqual(new Set(['POST /v1/workflows']))

    // All of them are ours: nothing instruments amqplib, pg or anything else behind our back.
    expect([...new Set(receiver.spans().map(({ scope }) => scope))].toSorted()).toEqual([
      '@esteira/control-plane',
      '@esteira/database-query',
      '@esteira/service',
      '@esteira/sidecar',
      '@esteira/workflow',
    ])

    // No payload and no secret of the house.
    const { clientSecret, refreshToken } = house.settings.rdStation
    const [lead] = z
      .array(z.object({ uuid: z.string(), name: z.string() }))
      .parse(await house.crm('select * from lead'))
    expect(lead).toBeDefined()
    for (const text of [clientSecret, refreshToken, lead?.uuid, lead?.name]) expect(receiver.text()).not.toContain(text)
  },
)
