import { expect, test } from 'vitest'
import { z } from 'zod'
import { anchor } from '../../test/memory-cluster.ts'
import { leadsSteps } from '../../test/open-api.ts'
import {
  actual,
  api,
  cluster,
  cronJobs,
  events,
  passTime,
  save,
  saveAgain,
  saveMany,
  tick,
  turn,
  useTurns,
} from '../../test/use-turns.ts'

useTurns()

test('a saved cron step has a CronJob after a turn, and the next turn makes no call', async () => {
  await save()
  expect(await actual()).toMatchObject({ state: 'pending', object: null })
  await turn()
  const object = cluster.only()
  expect(object.owners).toEqual([anchor.uid])
  expect(await cronJobs()).toMatchObject([
    {
      runsIn: 'kubernetes',
      actual: { state: 'applied', reason: null, object: object.name, schedule: '0 * * * *', suspended: false },
    },
  ])
  await turn()
  expect(cluster.counted()).toEqual({})
  expect(events).toEqual([])
})

test('steps of other functions have none', async () => {
  await save({ steps: leadsSteps })
  await turn()
  expect(cluster.only().name).toMatch(/^leads-every-hour-/)
})

test('a change is made to the object that is there, and a new name leaves it its own', async () => {
  const { id, steps } = await save()
  await turn()
  const { uid, name } = cluster.only()
  const renamed = { id: steps[0]?.id, ...tick, name: 'hourly', config: { schedule: '5 * * * *' } }
  await saveAgain(id, { name: 'contacts', steps: [renamed] })
  await turn()
  expect(cluster.only()).toMatchObject({ uid, name, annotations: { 'esteira.dev/workflow': 'contacts' } })
  expect(cluster.only().spec).toContain('5 * * * *')
  expect(await actual()).toMatchObject({ state: 'applied', schedule: '5 * * * *' })
})

test('a save is pending until it was looked at, whatever it is about', async () => {
  const { id, steps } = await save()
  await turn()
  const step = { id: steps[0]?.id, ...tick, config: { schedule: '0 * * * *', startingDeadlineSeconds: 600 } }
  await saveAgain(id, { steps: [step] })
  expect(await cronJobs()).toMatchObject([{ startingDeadlineSeconds: 600, actual: { state: 'pending' } }])
  await turn()
  expect(await actual()).toMatchObject({ state: 'applied' })
  // Of this one the cluster has nothing to know.
  await saveAgain(id, { steps: [{ ...step, config: { ...step.config, overlap: 'skip' } }] })
  expect(await actual()).toMatchObject({ state: 'pending' })
  await turn()
  expect(cluster.counted()).toEqual({})
  expect(await actual()).toMatchObject({ state: 'applied' })
})

test('what a version before has applied, which noted no save, is as saved if its schedule, zone and suspension are', async () => {
  await save()
  await turn()
  await api.query('update workflow_cron_job set fits_save = null')
  expect(await actual()).toMatchObject({ state: 'applied' })
  for (const [column, other] of [
    ['schedule', '5 * * * *'],
    ['time_zone', 'Europe/Lisbon'],
    ['suspended', 'true'],
  ]) {
    const [before] = await api.query(`select ${column}::text as value from workflow_cron_job`)
    const { value } = z.object({ value: z.string() }).parse(before)
    await api.query(`update workflow_cron_job set ${column} = '${other}'`)
    expect(await actual(), column).toMatchObject({ state: 'pending' })
    await api.query(`update workflow_cron_job set ${column} = '${value}'`)
  }
  expect(await actual()).toMatchObject({ state: 'applied' })
})

test('disabling suspends, and deleting removes it with all that is known of it', async () => {
  const { id, steps } = await save()
  await turn()
  const { uid } = cluster.only()
  const same = [{ id: steps[0]?.id, ...tick }]
  await saveAgain(id, { enabled: false, steps: same })
  await turn()
  expect(cluster.only()).toMatchObject({ uid })
  expect(cluster.only().spec).toContain('"suspend":true')
  await api.send('DELETE', `/v1/workflows/${id}`)
  await turn()
  expect(cluster.objects()).toEqual([])
  expect(await api.query('select from workflow_cron_job')).toEqual([])
})

/** Writes a step as a version of this program would that knows more members of a config. */
const saveAsLaterVersion = async () => {
  await api.query('alter table workflow_step disable trigger workflow_step_is_final')
  await api.query(
    `update workflow_step set config = config || '{ "jitterSeconds": 5 }' where function_name = 'CronJob'`,
  )
}

test('a step whose config a later version has saved keeps its CronJob, and the API says that it is not followed', async () => {
  const { id } = await save()
  await turn()
  const before = cluster.only()
  await saveAsLaterVersion()
  const { unreadable } = await turn()
  expect(unreadable).toHaveLength(1)
  expect(cluster.counted()).toEqual({})
  expect(cluster.only()).toEqual(before)
  expect(await cronJobs()).toMatchObject([
    { fault: expect.any(String), actual: { object: before.name, reason: expect.stringContaining('stays as it is') } },
  ])
  // What was known of it is known to the version that can read it again.
  expect(await api.query('select object, uid from workflow_cron_job')).toEqual([
    { object: before.name, uid: before.uid },
  ])
  await api.send('DELETE', `/v1/workflows/${id}`)
  await turn()
  expect(cluster.objects()).toEqual([])
})

const sinceOf = (): string | undefined => cluster.only().annotations['esteira.dev/schedule-since']

test('a schedule holds from its own save on, and a save for another reason swallows no tick', async () => {
  const { id, steps } = await save()
  await turn()
  const first = sinceOf()
  const step = { id: steps[0]?.id, ...tick }
  await saveAgain(id, { steps: [{ ...step, name: 'hourly' }] })
  await turn()
  expect(sinceOf()).toBe(first)
  await saveAgain(id, { steps: [{ ...step, config: { schedule: '5 * * * *' } }] })
  await turn()
  expect(Date.parse(sinceOf() ?? '')).toBeGreaterThan(Date.parse(first ?? ''))
})

test('a save for another reason before a schedule is applied swallows no tick that was due between the two', async () => {
  const { id, steps } = await save()
  await turn()
  const changed = { id: steps[0]?.id, ...tick, config: { schedule: '5 * * * *' } }
  await saveAgain(id, { steps: [changed] })
  const between = z
    .tuple([z.object({ at: z.coerce.date() })])
    .parse(await api.query('select clock_timestamp() as at'))[0].at
  await saveAgain(id, { name: 'contacts', steps: [changed] })
  await turn()
  expect(cluster.only().spec).toContain('5 * * * *')
  expect(Date.parse(sinceOf() ?? '')).toBeLessThanOrEqual(between.getTime())
})

test('who takes over goes on without a call, and without what was known each object is applied once', async () => {
  await save()
  await turn()
  const before = cluster.only()
  await turn()
  expect(cluster.counted()).toEqual({})
  await api.query('delete from workflow_cron_job')
  await turn()
  expect(cluster.counted()).toEqual({ apply: 1 })
  expect(events).toMatchObject([{ kind: 'cron-jobs.changed', created: 0, changed: 0, verified: 1, deleted: 0 }])
  expect(cluster.only().generation).toBe(before.generation)
  await turn()
  expect(cluster.counted()).toEqual({})
})

test('drift is repaired and told once', async () => {
  await save()
  await turn()
  const { name, generation, ...object } = cluster.only()
  cluster.write({ ...object, name, spec: 'changed by hand' })
  await turn()
  expect(events).toEqual([{ kind: 'cron-jobs.drifted', count: 1, objects: [name] }])
  expect(cluster.only()).toMatchObject({ spec: object.spec, generation: generation + 2 })
  await turn()
  expect(cluster.counted()).toEqual({})
  expect(events).toEqual([])
})

test('one that was deleted by hand comes back under its name, and that is told', async () => {
  const { id, steps } = await save()
  await turn()
  const { name } = cluster.only()
  await saveAgain(id, { name: 'contacts', steps: [{ id: steps[0]?.id, ...tick }] })
  cluster.erase(name)
  await turn()
  expect(cluster.only().name).toBe(name)
  expect(events).toEqual([{ kind: 'cron-jobs.drifted', count: 1, objects: [name] }])
})

test('one that was robbed of its labels is still known to be ours', async () => {
  await save()
  await turn()
  const { labels, ...object } = cluster.only()
  cluster.write({ ...object, labels: {} })
  await turn()
  expect(cluster.only()).toMatchObject({ uid: object.uid, labels })
})

test('a release that is given another database deletes nothing that is of the one before', async () => {
  await save()
  await turn()
  const before = cluster.only()
  // As an empty database is: with an id of its own, and nothing in it.
  await api.query('update workflow_database set id = gen_random_uuid()')
  await api.query('update workflow set deleted_at = now()')
  await api.query('delete from workflow_cron_job')
  const { others } = await turn()
  expect(others).toEqual([before.name])
  expect(cluster.objects()).toEqual([before])
  expect(cluster.counted()).toEqual({})
})

test('one that a version before made, which names no database, is ours', async () => {
  const { id } = await save()
  await turn()
  const { labels, ...object } = cluster.only()
  const { 'esteira.dev/database': _, ...others } = labels
  cluster.write({ ...object, labels: others })
  await api.query('delete from workflow_cron_job')
  await api.send('DELETE', `/v1/workflows/${id}`)
  await turn()
  expect(cluster.objects()).toEqual([])
})

test('a CronJob of somebody else is never written, also where it has the name that we would give', async () => {
  await save()
  await turn()
  const { name, ...object } = cluster.only()
  await api.query('delete from workflow_cron_job')
  cluster.erase(name)
  const foreign = {
    ...object,
    name,
    uid: 'theirs',
    labels: { team: 'crm' },
    annotations: {},
    owners: [],
    spec: 'theirs',
  }
  const before = cluster.write(foreign)
  const other = cluster.write({ ...foreign, name: 'another', uid: 'another' })
  await turn()
  expect(cluster.counted()).toEqual({ find: 1 })
  expect(cluster.objects()).toEqual([before, other])
  expect(await actual()).toMatchObject({
    state: 'foreign',
    object: null,
    reason: `there is a CronJob "${name}" already, and it is not ours`,
  })
  cluster.erase(name)
  await passTime()
  await turn()
  expect(await actual()).toMatchObject({ state: 'applied', object: name })
})

test('more than fits a turn is left to the next ones', async () => {
  await saveMany(250)
  expect((await turn()).more).toBe(true)
  expect(cluster.objects()).toHaveLength(200)
  expect((await turn()).more).toBe(false)
  expect(cluster.objects()).toHaveLength(250)
})
