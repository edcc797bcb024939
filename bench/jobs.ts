import { type JobProgram, startJobChild } from './children/start-job-child.ts'
import { noOpName } from './children/job-messages.ts'
import type { BenchOptions } from './options.ts'
import { profileWork } from './profile/profile-drain.ts'
import { median, ratioByRound, round } from './report/statistics.ts'
import { table } from './report/table.ts'
import type { Report } from './report/verdict.ts'
import { openNoOpRuns } from './services/no-op-runs.ts'
import type { Place } from './services/open-place.ts'
import { readProcess } from './services/read-process.ts'
import { startSidecar } from './services/start-sidecar.ts'

const usualJobs = 20_000

/** What each side does best with, of those that were tried: ours with 100, 300 and 1,000. */
const inHand: Record<JobProgram, number> = { worker: 1_000, 'graphile-worker': 500, 'pg-boss': 500 }

type Turn = { perSecond: number; cpuUsPerJob: number; relayCpuUsPerJob: number | null }

/**
 * How many jobs that do nothing are carried a second, from a backlog, by one worker and its relay? Ours begin as rows of
 * the outbox and go through RabbitMQ, one message each, with confirms; the controls take theirs from a table, in batches.
 */
export const benchJobs = async (place: Place, { rows, rounds, profile }: BenchOptions): Promise<Report> => {
  const jobs = rows ?? usualJobs
  const programs = ['graphile-worker', 'worker', 'pg-boss'] as const
  const turns: Record<JobProgram, Turn[]> = { worker: [], 'graphile-worker': [], 'pg-boss': [] }
  const runs = await openNoOpRuns(place)
  const ours = (profileTo: string | null) => carryOurs(place, runs, jobs, profileTo)
  for (let turn = 0; turn < rounds; turn += 1) {
    // Another one begins each time, so that none is always the one after a pause.
    const order = programs.map((_, index) => programs[(index + turn) % programs.length] ?? 'worker')
    for (const program of order) {
      turns[program].push(program === 'worker' ? await ours(null) : await carryControl(program, place, jobs))
    }
  }
  const profiled = profile ? await profileWork(jobs, async (profileTo) => void (await ours(profileTo))) : null
  await runs.close()
  await place.channel.deleteQueue(noOpName)
  const ratesOf = (program: JobProgram) => turns[program].map(({ perSecond }) => perSecond)
  const cpuOf = (program: JobProgram) => median(turns[program].map(({ cpuUsPerJob }) => cpuUsPerJob))
  const relayCpu = median(turns.worker.map(({ relayCpuUsPerJob }) => relayCpuUsPerJob ?? 0))
  const ratioTo = (program: JobProgram) => ratioByRound(ratesOf('worker'), ratesOf(program))
  const rate = (program: JobProgram) => median(ratesOf(program))
  const control = (program: JobProgram, name: string) =>
    [name, round(rate(program)), round(cpuOf(program), 1), round(ratioTo(program), 2)] as const
  return {
    table:
      table(
        ['what', 'jobs/s', 'CPU us/job', 'ours to it'],
        [
          ['one worker', round(rate('worker')), round(cpuOf('worker'), 1), null],
          ['its relay', null, round(relayCpu, 1), null],
          control('graphile-worker', 'graphile-worker, batched'),
          control('pg-boss', 'pg-boss, batched'),
        ],
      ) + (profiled === null ? '' : `\n${profiled}`),
    verdict: {
      ours: round(rate('worker')),
      control: round(rate('graphile-worker')),
      ratio: round(ratioTo('graphile-worker'), 3),
      // Measured beside the others; nothing is to be held.
      hold: 0,
      held: true,
      pgBoss: round(rate('pg-boss')),
      ratioToPgBoss: round(ratioTo('pg-boss'), 3),
      cpuUsPerJob: { worker: round(cpuOf('worker'), 1), relay: round(relayCpu, 1) },
      jobs,
      inHand,
      rounds,
      byRound: Object.fromEntries(programs.map((program) => [program, ratesOf(program).map((each) => round(each))])),
    },
  }
}

type Runs = Awaited<ReturnType<typeof openNoOpRuns>>

/** A run whose jobs all wait in the outbox; the clock starts when the relay has its lane and the worker its queue. */
const carryOurs = async (place: Place, runs: Runs, jobs: number, profileTo: string | null): Promise<Turn> => {
  await runs.beginMany(jobs)
  await makeQuiet(place)
  const child = startJobChild('worker', place, { jobs, inHand: inHand.worker, profileTo })
  await child.ready
  const relay = startSidecar(place)
  await relay.saw(({ event }) => event === 'relay.owned')
  child.go()
  const { ms, cpuUs } = await child.done
  const { cpuMs } = await readProcess(relay.pid)
  await child.stop()
  await relay.end('SIGTERM')
  await expectWritten(place, jobs)
  return { perSecond: (jobs / ms) * 1_000, cpuUsPerJob: cpuUs / jobs, relayCpuUsPerJob: (cpuMs * 1_000) / jobs }
}

const carryControl = async (program: JobProgram, place: Place, jobs: number): Promise<Turn> => {
  const child = startJobChild(program, place, { jobs, inHand: inHand[program] })
  await child.ready
  await makeQuiet(place)
  child.go()
  const { ms, cpuUs } = await child.done
  await child.stop()
  return { perSecond: (jobs / ms) * 1_000, cpuUsPerJob: cpuUs / jobs, relayCpuUsPerJob: null }
}

/** Leaves the tables and the disk as quiet as they get after they were filled. */
const makeQuiet = async ({ db, admin }: Place): Promise<void> => {
  await db.query('vacuum analyze')
  await admin.query('checkpoint')
}

/** Throws unless all jobs are over and counted: a rate at which some are lost is no answer. Then it clears the tables. */
const expectWritten = async ({ db }: Place, jobs: number): Promise<void> => {
  const { rows } = await db.query<{ written: number; counted: number }>(
    `select (select count(*)::int from workflow_job where status = 'succeeded') as written,
            (select sum(succeeded)::int from workflow_run_step) as counted`,
  )
  // The tick that begins the run is a job as well.
  const isAll = rows[0]?.written === jobs + 1 && rows[0].counted === jobs + 1
  if (!isAll) throw new Error(`${JSON.stringify(rows[0])} jobs were written, expected ${jobs + 1}`)
  await db.query('truncate workflow_run cascade')
}
