import { setTimeout as delay } from 'node:timers/promises'
import { jobPayload, noOpName, sharedMs } from './children/job-messages.ts'
import { startJobChild } from './children/start-job-child.ts'
import type { BenchOptions } from './options.ts'
import { reportLatencies } from './report/latencies.ts'
import type { Report } from './report/verdict.ts'
import { openNoOpRuns } from './services/no-op-runs.ts'
import type { Place } from './services/open-place.ts'
import { startSidecar } from './services/start-sidecar.ts'

const hold = { p50Ms: 10, p99Ms: 40 }
const samples = 900
const shortestGapMs = 20
const longestGapMs = 60

/**
 * How long after its commit does a job's function start, when nothing else is to do? Through the outbox, the relay and
 * RabbitMQ to the worker, each a process of its own; one job at a time, at random gaps. The control is graphile-worker,
 * which hears of a job from Postgres.
 */
export const benchJobLatency = async (place: Place, { rounds }: BenchOptions): Promise<Report> => {
  const runs = await openNoOpRuns(place)
  const [ours, control] = [
    startJobChild('worker', place, { jobs: null, inHand: 100 }),
    startJobChild('graphile-worker', place, { jobs: null, inHand: 100 }),
  ]
  await Promise.all([ours.ready, control.ready])
  const relay = startSidecar(place)
  await relay.saw(({ event }) => event === 'relay.owned')
  const addControl = () =>
    place.db.query('select graphile_worker.add_job($1, $2::json)', [noOpName, JSON.stringify(jobPayload(0))])

  const ms: Record<'ours' | 'control', number[]> = { ours: [], control: [] }
  for (let turn = 0; turn < rounds; turn += 1) {
    ms.ours.push(...(await measure(runs.beginOne, ours.onStart, samples / rounds)))
    ms.control.push(...(await measure(addControl, control.onStart, samples / rounds)))
  }
  await Promise.all([ours.stop(), control.stop()])
  await relay.end('SIGTERM')
  await runs.close()
  await place.channel.deleteQueue(noOpName)
  return reportLatencies({
    title: 'commit to the start of the function, ms',
    ours: { name: 'ours', ms: ms.ours },
    control: { name: 'graphile-worker', ms: ms.control },
    hold,
    rounds,
  })
}

/** Begins jobs one by one; how long after its commit each started. */
const measure = async (
  begin: () => Promise<unknown>,
  onStart: (callBack: (atMs: number) => void) => void,
  count: number,
): Promise<number[]> => {
  const ms: number[] = []
  let started = Promise.withResolvers<number>()
  onStart((atMs) => started.resolve(atMs))
  for (let sample = 0; sample < count; sample += 1) {
    await delay(shortestGapMs + Math.random() * (longestGapMs - shortestGapMs))
    started = Promise.withResolvers<number>()
    await begin()
    const committedMs = sharedMs()
    // It may have started before the commit's answer was here.
    ms.push(Math.max(0, (await started.promise) - committedMs))
  }
  return ms
}
