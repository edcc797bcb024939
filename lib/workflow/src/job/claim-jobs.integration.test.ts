import { randomUUID } from 'node:crypto'
import { queryable } from '@esteira/outbox'
import { waitFor } from '@esteira/test/support'
import { expect, test } from 'vitest'
import { type Engine, functionOf } from '../../test/engine.ts'
import { useEngine } from '../../test/use-engine.ts'
import { type Claim, claimJobs } from './claim-jobs.ts'

let engine: Engine

useEngine((opened) => {
  engine = opened
})

/** So many jobs that wait, which a worker ends once the test has looked at them. */
const waitingJobs = async (functionName: string, count: number) => {
  const workflow = await engine.saveWorkflow(
    { functionName: 'CronJob', outputType: 'multiple' },
    { functionName, outputType: null },
  )
  const run = await engine.begin(
    workflow,
    Array.from({ length: count }, (_, index) => index),
  )
  const jobs = async () => (await engine.jobs(run)).filter(({ step }) => step === 1)
  const end = async () => {
    await engine.startWorker([functionOf(functionName, () => undefined)])
    expect(await engine.over(run)).toBe('succeeded')
  }
  return { jobs, end }
}

const claimOf = (job: Claim['job']): Claim => ({ job, next: randomUUID() })

const claim = async (claims: readonly Claim[]) => new Set((await claimJobs(engine.em(), claims, 'worker')).keys())

test('jobs are taken over together, each under its own claim', async () => {
  const { jobs, end } = await waitingJobs('together', 50)
  const claims = (await jobs()).map(claimOf)
  expect(await claim(claims)).toEqual(new Set(claims))
  const tokens = new Map(claims.map(({ job, next }) => [job.id, next]))
  for (const job of await jobs()) {
    expect(job).toMatchObject({ status: 'running', claim: tokens.get(job.id), worker: 'worker' })
  }
  await end()
})

test('a job that is taken over was begun when the first who had it began', async () => {
  const { jobs, end } = await waitingJobs('begun', 1)
  const [first] = (await jobs()).map(claimOf)
  if (first === undefined) throw new Error('no jobs')
  const begun = () => engine.query('select started_at from workflow_job where id = $1', [first.job.id])
  await claim([first])
  const before = await begun()
  const second = claimOf({ ...first.job, claim: first.next })
  expect(await claim([second])).toEqual(new Set([second]))
  expect(await begun()).toEqual(before)
  await end()
})

test('a job that moved on, that another has, or that is over is not taken, and the others are', async () => {
  const { jobs, end } = await waitingJobs('others', 4)
  const [older, held, over, free] = (await jobs()).map(claimOf)
  if (older === undefined || held === undefined || over === undefined || free === undefined) throw new Error('no jobs')
  const byAnother = claimOf(held.job)
  expect(await claim([byAnother])).toEqual(new Set([byAnother]))
  await engine.query(`update workflow_job set status = 'succeeded', finished_at = now() where id = $1`, [over.job.id])
  const asked = [{ ...older, job: { ...older.job, seq: 2 } }, held, over, free]
  expect(await claim(asked)).toEqual(new Set([free]))
  expect((await jobs()).map((job) => job.claim)).toEqual([null, byAnother.next, null, free.next])
  await engine.query(`update workflow_job set status = 'queued', finished_at = null where id = $1`, [over.job.id])
  await end()
})

test('an attempt whose worker is gone is kept as lost, one row for all under the same message', async () => {
  const { jobs, end } = await waitingJobs('lost', 2)
  const [job, untouched] = await jobs()
  if (job === undefined || untouched === undefined) throw new Error('no jobs')
  const first = claimOf(job)
  await claimJobs(engine.em(), [first], 'first')
  // Asked again after a lost answer: it is the same attempt.
  await claimJobs(engine.em(), [first], 'first')
  expect(await engine.attempts(job.id)).toEqual([])
  const second = claimOf({ ...job, claim: first.next })
  await claimJobs(engine.em(), [second, claimOf(untouched)], 'second')
  const lost = { seq: 1, attempt: 1, outcome: 'lost', error: { code: 'attempt_lost' } }
  expect(await engine.attempts(job.id)).toMatchObject([{ ...lost, times: 1, worker: 'first' }])
  await claimJobs(engine.em(), [claimOf({ ...job, claim: second.next })], 'third')
  expect(await engine.attempts(job.id)).toMatchObject([{ ...lost, times: 2, worker: 'second' }])
  expect(await engine.attempts(untouched.id)).toEqual([])
  await end()
})

test('of two who ask for one job in the same moment one gets it, in one group or in two', async () => {
  const { jobs, end } = await waitingJobs('rivals', 2)
  const [one, two] = await jobs()
  if (one === undefined || two === undefined) throw new Error('no jobs')
  const together = [claimOf(one), claimOf(one)]
  expect((await claim(together)).size).toBe(1)
  const apart = await Promise.all([claimOf(two), claimOf(two)].map((each) => claim([each])))
  expect(apart.reduce((sum, { size }) => sum + size, 0)).toBe(1)
  await end()
})

test('who asks again after an answer that was lost gets the same answer', async () => {
  const { jobs, end } = await waitingJobs('again', 1)
  const claims = (await jobs()).map(claimOf)
  await claim(claims)
  expect(await claim(claims)).toEqual(new Set(claims))
  await end()
})

test('groups with the same jobs in another order wait for each other and end both', async () => {
  const { jobs, end } = await waitingJobs('ordered', 20)
  const claims = (await jobs()).map(claimOf)
  const holder = engine.em()
  await holder.begin()
  await queryable(holder).query('select from workflow_job where id = $1 for update', [claims[10]?.job.id])
  const asked = [claims, claims.toReversed()].map((group) => claim(group))
  await waitFor(async () => (await waiting()) === 2)
  await holder.rollback()
  const [first, second] = await Promise.all(asked)
  // They ask with the same claims.
  expect(first).toEqual(new Set(claims))
  expect(second).toEqual(new Set(claims))
  await end()
})

const waiting = async (): Promise<number> =>
  (await engine.query(`select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`))
    .length
