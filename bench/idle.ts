import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type pg from 'pg'
import type { BenchOptions } from './options.ts'
import { median, round } from './report/statistics.ts'
import { table } from './report/table.ts'
import type { Report } from './report/verdict.ts'
import type { Place } from './services/open-place.ts'
import { readProcess } from './services/read-process.ts'
import { type RunningProgram, startProgram } from './services/start-program.ts'
import { startSidecar } from './services/start-sidecar.ts'

const holds = { rssMiB: 70, readyMs: 400, queriesPerSecond: 1, cpuPercent: 0.2 }

/** As long as autovacuum's pause, so that its statements are as many with a relay as without. */
const measureMs = 60_000

/**
 * A relay that has just started still takes lanes and compiles, and Postgres gives out what a session did up to 10 s later:
 * the start must not be counted.
 */
const settleMs = 15_000

type Figures = Record<keyof typeof holds | 'controlCpuPercent', number>

/**
 * What does a relay cost that has nothing to do? A process as it ships, alone in its database: memory, the time from its
 * start to its line "ready", statements and CPU. The numbers stand for themselves, only the statements that Postgres counts
 * without any relay are taken off. Beside its CPU is that of a process which waits at the same servers, in the same minute:
 * a machine that takes memory away from what is idle makes each wake-up of either dear.
 */
export const benchIdle = async (place: Place, { rounds }: BenchOptions): Promise<Report> => {
  const measured: Figures[] = []
  for (let turn = 0; turn < rounds; turn++) measured.push(await watchOne(place))
  const figures = Object.keys(holds)
    .filter(isFigure)
    .map((name) => {
      const value = round(median(measured.map((one) => one[name])), 2)
      return { name, value, hold: holds[name], held: value <= holds[name] }
    })
  const controlCpuPercent = round(median(measured.map((one) => one.controlCpuPercent)), 2)
  return {
    table: table(
      ['figure', 'ours', 'control', 'to hold', ''],
      figures.map(({ name, value, hold, held }) => [
        name,
        value,
        name === 'cpuPercent' ? controlCpuPercent : null,
        hold,
        held ? '' : 'not held',
      ]),
    ),
    verdict: {
      ours: figures[0]?.value ?? 0,
      control: null,
      ratio: null,
      hold: holds.rssMiB,
      held: figures.every(({ held }) => held),
      figures: Object.fromEntries(figures.map(({ name, value }) => [name, value])),
      controlCpuPercent,
      holds,
      rounds,
    },
  }
}

const isFigure = (name: string): name is keyof typeof holds => name in holds

const watchOne = async (place: Place): Promise<Figures> => {
  const unwatched = await countStatements(place)
  await delay(measureMs)
  // Autovacuum and what the bench itself did before: Postgres counts both in the same place.
  const others = (await countStatements(place)) - unwatched
  const sidecar = startSidecar(place)
  const { atMs } = await sidecar.saw(({ event }) => event === 'ready')
  const waiting = await startWaiting(place)
  await delay(settleMs)
  const look = async () => ({
    ...(await readProcess(sidecar.pid)),
    controlCpuMs: (await readProcess(waiting.pid)).cpuMs,
    statements: await countStatements(place),
    ms: performance.now(),
  })
  const before = await look()
  await delay(measureMs)
  const after = await look()
  const seconds = (after.ms - before.ms) / 1_000
  await Promise.all([sidecar.end('SIGTERM'), waiting.stop()])
  return {
    rssMiB: after.rss / 1_024 ** 2,
    readyMs: atMs - sidecar.startedMs,
    queriesPerSecond: (after.statements - before.statements - others) / seconds,
    cpuPercent: (after.cpuMs - before.cpuMs) / seconds / 10,
    controlCpuPercent: (after.controlCpuMs - before.controlCpuMs) / seconds / 10,
  }
}

const waitingProgram = fileURLToPath(new URL('children/waiting/main.ts', import.meta.url))

/** In the server's own database, so that its statements are not among the relay's. */
const startWaiting = ({ databaseUrl, rabbitmqUrl }: Place): Promise<RunningProgram> => {
  const words = [waitingProgram, new URL('/postgres', databaseUrl).href, rabbitmqUrl]
  return startProgram('waiting', {}, { untilReady: false, words })
}

/** Every statement of a relay is a transaction of its own. Asked from another database, so that it counts none of ours. */
const countStatements = async ({ admin, lane }: { admin: pg.Client; lane: Place['lane'] }): Promise<number> => {
  const { rows } = await admin.query<{ count: number }>(
    'select (xact_commit + xact_rollback)::float8 as count from pg_stat_database where datname = $1',
    [lane.name],
  )
  const count = rows[0]?.count
  if (count === undefined) throw new Error(`Postgres has no statistics of ${lane.name}`)
  return count
}
