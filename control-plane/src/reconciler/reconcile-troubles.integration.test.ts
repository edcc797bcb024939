import { queryable } from '@esteira/outbox'
import { waitFor } from '@esteira/test/support'
import { expect, onTestFinished, test } from 'vitest'
import { z } from 'zod'
import {
  actual,
  api,
  cluster,
  cronJobs,
  database,
  events,
  look,
  passTime,
  save,
  saveAgain,
  saveMany,
  standing,
  tick,
  turn,
  useTurns,
} from '../../test/use-turns.ts'
import type { View } from './cluster-view.ts'
import { openLead } from './lead.ts'

useTurns()

const forbidden = {
  kind: 'refused',
  code: 'Forbidden',
  words: 'cronjobs.batch "leads" is forbidden: exceeded quota: count, requested: 1, used: 0, limited: 0',
} as const

test('a refusal is told at the API in the words of the API server, and tried again when its time has come', async () => {
  await save()
  cluster.answers(({ verb }) => (verb === 'apply' ? forbidden : undefined))
  await turn()
  expect(await actual()).toMatchObject({ state: 'refused', reason: forbidden.words, nextTryAt: expect.any(String) })
  expect(events).toMatchObject([{ kind: 'cron-jobs.refused', count: 1, code: 'Forbidden', reason: forbidden.words }])
  await turn()
  expect(cluster.counted()).toEqual({})
  await passTime()
  await turn()
  expect(cluster.counted()).toEqual({ find: 1, apply: 1 })
  // It was told before.
  expect(events).toEqual([])
  cluster.answers(() => undefined)
  await passTime()
  await turn()
  expect(await actual()).toMatchObject({ state: 'applied', reason: null, nextTryAt: null })
})

test('what was refused as it was is tried at once when it is another', async () => {
  const { id, steps } = await save()
  cluster.answers(({ verb }) => (verb === 'apply' ? forbidden : undefined))
  await turn()
  await saveAgain(id, { steps: [{ id: steps[0]?.id, ...tick, config: { schedule: '5 * * * *' } }] })
  cluster.answers(() => undefined)
  await turn()
  expect(cluster.only().spec).toContain('5 * * * *')
})

test('the pause before the next try doubles, and a step that is refused holds up no other', async () => {
  await save()
  await save({ name: 'contacts' })
  cluster.answers(({ verb, name }) => (verb === 'apply' && name.startsWith('leads') ? forbidden : undefined))
  const pauses: number[] = []
  for (let tries = 1; tries <= 12; tries += 1) {
    await turn()
    const [row] = z.array(z.object({ tries: z.int(), pause: z.number() })).parse(
      await api.query(
        `select tries, extract(epoch from next_try_at - now())::float8 as pause from workflow_cron_job
           where trouble is not null`,
      ),
    )
    expect(row?.tries).toBe(tries)
    pauses.push(row?.pause ?? 0)
    await passTime()
  }
  expect(cluster.only().name).toMatch(/^contacts/)
  expect(pauses[0]).toBeLessThanOrEqual(1)
  expect(pauses[6]).toBeGreaterThan(30)
  expect(pauses[11]).toBeGreaterThan(140)
  expect(pauses[11]).toBeLessThanOrEqual(300)
})

test('a delete that is refused is tried again, and is no trouble of the steps that are there', async () => {
  const { id } = await save()
  await turn()
  await api.send('DELETE', `/v1/workflows/${id}`)
  cluster.answers(({ verb }) => (verb === 'remove' ? forbidden : undefined))
  await turn()
  await turn()
  expect(cluster.counted()).toEqual({})
  expect(await cronJobs()).toEqual([])
  cluster.answers(() => undefined)
  await passTime()
  await turn()
  expect(cluster.objects()).toEqual([])
  expect(await api.query('select from workflow_cron_job')).toEqual([])
})

test('a server that asks for time ends the turn', async () => {
  await saveMany(50)
  let applies = 0
  cluster.answers(({ verb }) =>
    verb === 'apply' && ++applies > 10 ? { kind: 'later', words: 'too many requests', afterMs: 7_000 } : undefined,
  )
  const { held } = await turn()
  expect(held).toMatchObject({ kind: 'later', afterMs: 7_000 })
  expect(cluster.objects()).toHaveLength(10)
  expect(applies).toBeLessThan(20)
})

test('so does one that gives no answer, and one hanging webhook does not', async () => {
  await saveMany(50)
  const nothing = { kind: 'unknown', words: 'no answer within 15 s' } as const
  let hangs: string | undefined
  cluster.answers(({ verb, name }) => (verb === 'apply' && name === (hangs ??= name) ? nothing : undefined))
  // It is looked at again whether there is a cluster.
  expect(await turn()).toMatchObject({ held: null, doubtful: true })
  expect(cluster.objects()).toHaveLength(49)
  for (const { name } of cluster.objects()) cluster.erase(name)
  await passTime()
  cluster.answers(({ verb }) => (verb === 'list' ? undefined : nothing))
  expect((await turn()).held).toMatchObject(nothing)
  expect(cluster.counted().find).toBeLessThan(12)
})

test('an object that is not the one that was seen is looked at again', async () => {
  const { id, steps } = await save()
  await turn()
  const { name, ...object } = cluster.only()
  const stale = await look()
  cluster.erase(name)
  cluster.write({ ...object, name, uid: 'another' })
  await saveAgain(id, { steps: [{ id: steps[0]?.id, ...tick, config: { schedule: '5 * * * *' } }] })
  expect((await turn({ view: stale })).doubtful).toBe(true)
  await passTime()
  expect((await turn()).doubtful).toBe(false)
  expect(cluster.only()).toMatchObject({ uid: 'another', spec: expect.stringContaining('5 * * * *') })
})

test('while the cluster is away only what waits for it is in trouble', async () => {
  await save()
  await turn()
  await save({ name: 'contacts' })
  const away: View = { kind: 'away', trouble: 'unreachable', code: null, words: 'connect ECONNREFUSED' }
  await turn({ view: away })
  const states = (await cronJobs()).map((job) => [String(job.workflowName), [job.actual?.state, job.actual?.reason]])
  expect(Object.fromEntries(states)).toEqual({
    contacts: ['unreachable', 'connect ECONNREFUSED'],
    leads: ['applied', null],
  })
  await turn()
  expect((await cronJobs()).map((job) => job.actual?.state)).toEqual(['applied', 'applied'])
})

test('a wish that was taken back while the cluster was away leaves no trouble', async () => {
  const { id, steps } = await save()
  await turn()
  const away: View = { kind: 'away', trouble: 'unreachable', code: null, words: 'connect ECONNREFUSED' }
  const step = { id: steps[0]?.id, ...tick }
  await saveAgain(id, { steps: [step], enabled: false })
  await turn({ view: away })
  expect(await actual()).toMatchObject({ state: 'unreachable', suspended: false })
  // Enabled again it ticks from this save on, as it would have.
  await saveAgain(id, { steps: [step] })
  await turn()
  expect(await actual()).toMatchObject({ state: 'applied', reason: null })
})

test('while the release is being removed nothing is written', async () => {
  const { id } = await save()
  await turn()
  await save({ name: 'contacts' })
  await api.send('DELETE', `/v1/workflows/${id}`)
  await turn({ view: { kind: 'uninstalling', words: 'configmaps "esteira-anchor" not found' } })
  expect(cluster.counted()).toEqual({})
  expect(cluster.objects()).toHaveLength(1)
})

test('while its anchor is gone no step passes for one that ticks, and all are made again when it is back', async () => {
  await save()
  await turn()
  const { name } = cluster.only()
  await save({ name: 'contacts' })
  await turn({ view: { kind: 'uninstalling', words: 'configmaps "esteira-anchor" not found' } })
  const reason = expect.stringMatching(/^configmaps "esteira-anchor" not found: the cluster removes the CronJobs/)
  expect((await cronJobs()).map((job) => job.actual)).toMatchObject([
    { state: 'unreachable', reason },
    { state: 'unreachable', reason },
  ])
  expect(standing).toMatchObject({ applied: 0, unreachable: 2 })
  // The cluster has collected it, and a new anchor is there.
  cluster.erase(name)
  await turn()
  expect((await cronJobs()).map((job) => job.actual?.state)).toEqual(['applied', 'applied'])
  expect(cluster.objects().map((object) => object.name)).toContain(name)
})

test('who does not lead any more writes nothing', async () => {
  await saveMany(20)
  let written = 0
  await turn({ mayWrite: () => ++written <= 8 })
  expect(cluster.objects()).toHaveLength(8)
})

/** A lead as a control plane has it, and how somebody ends the session that it has it by. */
const takeLead = async () => {
  const lead = openLead(database.url, () => undefined)
  onTestFinished(() => lead.release())
  expect(await lead.take()).toBe(true)
  const end = () =>
    api.query(
      `select pg_terminate_backend(pid) from pg_stat_activity
       where datname = current_database() and application_name = 'control-plane lead'`,
    )
  return { lead, end }
}

test('who loses the lead while it waits for an answer leaves what is known as the next one to lead writes it', async () => {
  await save()
  const { lead, end } = await takeLead()
  const { apply } = cluster.cronJobs
  cluster.cronJobs.apply = async (application) => {
    await end()
    return apply(application)
  }
  expect(await turn({ lead })).toMatchObject({ doubtful: true })
  expect(cluster.objects()).toHaveLength(1)
  expect(await api.query('select from workflow_cron_job')).toEqual([])
  expect([standing, ...events]).toEqual([undefined])
})

test('what was under way to the database when the lead was lost does not arrive after the next one has written', async () => {
  const { id, steps } = await save()
  await turn()
  const { lead, end } = await takeLead()
  await saveAgain(id, { steps: [{ id: steps[0]?.id, ...tick, config: { schedule: '5 * * * *' } }] })
  const waits = () =>
    api.query(
      `select from pg_stat_activity
       where datname = current_database() and wait_event_type = 'Lock' and query like '%workflow_cron_job%'`,
    )
  const { report } = await api.orm.em.fork().transactional(async (em) => {
    await queryable(em).query('update workflow_cron_job set generation = 77', [])
    const underWay = turn({ lead })
    await waitFor(async () => (await waits()).length > 0)
    await end()
    return { report: underWay }
  })
  expect(await report).toMatchObject({ doubtful: true })
  expect(await api.query('select generation::int from workflow_cron_job')).toEqual([{ generation: 77 }])
})

test('who has lost the lead forgets no step and writes no trouble either', async () => {
  const { id } = await save()
  await turn()
  const { lead, end } = await takeLead()
  await end()
  await api.send('DELETE', `/v1/workflows/${id}`)
  for (const { name } of cluster.objects()) cluster.erase(name)
  await turn({ lead })
  await save({ name: 'contacts' })
  await turn({ lead, view: { kind: 'away', trouble: 'unreachable', code: null, words: 'connect ECONNREFUSED' } })
  expect(await api.query('select trouble from workflow_cron_job')).toEqual([{ trouble: null }])
})
