import { expect } from 'vitest'
import { isOver, transitions } from '../src/job/transitions.ts'
import type { JobStatus } from '../src/model/job-status.ts'
import { isProof } from './acts.ts'
import { type Belt, type Jobs, keyOf, messagesOn } from './of-two.ts'
import type { RunOfTwo } from './two-workers.ts'

/** What may become of a status by any number of events. */
const within = (status: JobStatus): Set<JobStatus> => {
  const reached = new Set<JobStatus>([status])
  for (const from of reached) for (const to of Object.values(transitions[from])) reached.add(to)
  return reached
}

/**
 * Whether somebody has the job whose own message went back to the broker, and then to another, who lost the job to them and
 * acked it (decision 0001). They write it; and if they die, it is as good as lost.
 */
export const isHeldWithoutMessage = ({ attempts, zombies }: RunOfTwo, jobId: string, claim: string | null): boolean =>
  claim !== null &&
  [...attempts, ...zombies].some((one) => !one.attached && one.message.jobId === jobId && one.claim() === claim)

/** What must hold after each command, whatever it was. */
export const expectSound = async (run: RunOfTwo, before: Jobs, belt: Belt): Promise<Jobs> => {
  const jobs = await run.jobs()
  for (const [id, was] of before) {
    const job = jobs.get(id)
    expect([...within(was.status)], `${id} was ${was.status}`).toContain(job?.status)
    expect(job?.seq).toBeGreaterThanOrEqual(was.seq)
    if (isOver(was.status) && was.status !== 'failed') expect(job).toEqual(was)
  }
  for (const { status, claim } of jobs.values()) if (status !== 'running') expect(claim).toBeNull()
  const held = run.attempts.filter(({ attached }) => attached).map(({ message }) => message)
  const messages = [...(await run.waiting()), ...messagesOn(run), ...held].map(keyOf)
  for (const { id: jobId, seq, status, claim } of jobs.values()) {
    if (status !== 'queued' && status !== 'running') continue
    const valid = messages.filter((key) => key === keyOf({ jobId, seq })).length
    if (valid === 0 && isHeldWithoutMessage(run, jobId, claim)) belt.lost.add(keyOf({ jobId, seq }))
    const least = belt.lost.has(keyOf({ jobId, seq })) ? 0 : 1
    expect(valid, 'messages that are valid for a job on the belt').toBeGreaterThanOrEqual(least)
    expect(valid).toBeLessThanOrEqual(1 + (belt.copies.get(keyOf({ jobId, seq })) ?? 0))
  }
  for (const { id: jobId, seq, status, errorCode } of jobs.values()) {
    if (status !== 'failed' || errorCode !== 'process_died') continue
    const proofs = run.diedAlone.filter((one) => keyOf(one.message) === keyOf({ jobId, seq }) && isProof(one))
    expect(proofs, 'deaths of wards that a job had to itself').not.toEqual([])
  }
  expect(await run.untrueCounters()).toEqual([])
  expect(await run.unconserved()).toEqual([])
  expect(await run.misplaced(), 'items that are doubled or missing').toEqual([])
  expect(await run.misbooked(), 'rows of functions that are doubled, missing or left').toEqual([])
  return jobs
}

/** Both workers are killed, and then nothing happens any more but work, and the search for what was lost. */
export const expectEnd = async (run: RunOfTwo): Promise<void> => {
  await run.kill(0)
  await run.kill(1)
  const before = await run.jobs()
  // Some more when all is over: the search for what was lost takes as many to find something.
  for (let [round, after] = [0, 0]; round < 50 && after < 4; round += 1) {
    await run.probe()
    await run.publish()
    if (messagesOn(run).length === 0) await run.sweep()
    for (let message = run.belt[0]; message !== undefined; message = run.belt[0]) {
      if ('probe' in message) {
        await run.seeProbe()
        continue
      }
      const attempt = await run.find(0, message)
      if ((await run.goOn(attempt)) !== 'begun') continue
      if (run.isPoisoned(0)) {
        await run.kill(0)
        continue
      }
      await (attempt.isOwn ? run.finishAlone : run.finish)(attempt, { how: 'done', items: 1 })
    }
    await run.settled()
    if (!['running', 'cancelling'].includes(await run.runStatus())) after += 1
  }
  const jobs = [...(await run.jobs()).values()]
  expect(jobs.filter(({ status }) => !isOver(status))).toEqual([])
  // Who ends no process suffers from nobody who does.
  const failed = jobs.filter(({ id, status }) => status === 'failed' && before.get(id)?.status !== 'failed')
  expect(failed.filter(({ id, errorCode }) => !run.poison.has(id) || errorCode !== 'process_died')).toEqual([])
  const called = [...before.values()].filter(({ id, status, hasGiven }) => {
    return run.poison.has(id) && !isOver(status) && !hasGiven
  })
  expect(called.filter(({ id }) => jobs.find((job) => job.id === id)?.status === 'succeeded')).toEqual([])
  expect(await run.waiting()).toEqual([])
  const status = await run.runStatus()
  if (status !== 'cancelled') expect(status).toBe(jobs.some((job) => job.status === 'failed') ? 'failed' : 'succeeded')
  // What comes to life again writes nothing.
  for (const zombie of run.zombies.slice()) {
    const begun = zombie.told === null ? await run.goOn(zombie) : 'begun'
    const finish = zombie.isOwn ? run.finishAlone : run.finish
    const delivered = begun === 'begun' ? await finish(zombie, { how: 'done', items: 3 }) : begun
    expect(delivered).toMatchObject({ kind: 'dropped' })
  }
  expect([...(await run.jobs()).values()]).toEqual(jobs)
}
